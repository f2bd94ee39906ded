// Polls while the page is visible, less often while there is no answer.

import { SignedOut, Unreachable } from "../shared/api.js";

const RETRY_MS_MAX = 15_000;

export class Poll {
  #every;
  #ask;
  #report;
  #stop = new AbortController();
  #timer = 0;
  #asking = false;
  #failures = 0;

  /**
   * `ask(signal)` is called every `every` ms, never twice at once, and not while the page is
   * hidden; `report` gets null after an answer and the error after a failure.
   */
  constructor({ every, ask, report }) {
    this.#every = every;
    this.#ask = ask;
    this.#report = report;
    const { signal } = this.#stop;
    const wake = () => this.#run();
    document.addEventListener("visibilitychange", wake, { signal });
    window.addEventListener("online", wake, { signal });
  }

  /** Ask for the first time; settles with the outcome. */
  start() {
    return this.#run();
  }

  stop() {
    this.#stop.abort();
    clearTimeout(this.#timer);
  }

  async #run() {
    clearTimeout(this.#timer);
    if (this.#asking || document.hidden || this.#stop.signal.aborted) return;
    this.#asking = true;
    const began = performance.now();
    try {
      await this.#ask(this.#stop.signal);
      this.#failures = 0;
      if (!this.#stop.signal.aborted) this.#report(null);
    } catch (error) {
      if (this.#stop.signal.aborted || error instanceof SignedOut) return;
      this.#failures += 1;
      this.#report(error);
    } finally {
      this.#asking = false;
    }
    this.#schedule(performance.now() - began);
  }

  #schedule(took) {
    if (this.#stop.signal.aborted) return;
    const pause = Math.min(RETRY_MS_MAX, 1_000 * 2 ** this.#failures) * (0.75 + Math.random() / 2);
    const wait = this.#failures > 0 ? pause : Math.max(0, this.#every - took);
    this.#timer = setTimeout(() => this.#run(), wait);
  }
}

/** Whether a failure means that the server is unavailable, rather than a refusal. */
export const isAway = (error) => error instanceof Unreachable || error.status >= 500;
