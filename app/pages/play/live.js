// Keeps the inventory fresh: by the event stream, or by polling without one.

import { Problem, SignedOut, Unreachable, ask, call, openStream } from "../shared/api.js";

const POLL_MS = 4_000;
const SILENCE_MS = 60_000;
const RETRY_MS_MAX = 15_000;
const NO_STREAM = new Set([404, 405, 406, 501]);

export class Live {
  #model;
  #report;
  #stop = new AbortController();
  #fetching = null;
  #again = false;
  #streaming = false;
  #lastId = "";
  #timer = 0;
  #failures = 0;

  /** `report` gets "live", "polling" or "lost" whenever that changes. */
  constructor(model, report) {
    this.#model = model;
    this.#report = report;
    const wake = () => document.hidden || this.refresh().catch(() => {});
    for (const type of ["online", "visibilitychange"]) {
      const target = type === "online" ? window : document;
      target.addEventListener(type, wake, { signal: this.#stop.signal });
    }
  }

  /** Follow until stopped; returns once the first inventory has arrived. */
  async start() {
    await this.refresh();
    this.#follow();
    this.#schedule();
  }

  stop() {
    this.#stop.abort();
    clearTimeout(this.#timer);
  }

  /** Read the inventory; concurrent calls share one answer that is newer than each call. */
  async refresh() {
    if (this.#fetching) {
      this.#again = true;
      return this.#fetching;
    }
    this.#fetching = this.#fetch();
    try {
      await this.#fetching;
    } finally {
      this.#fetching = null;
    }
    return undefined;
  }

  async #fetch() {
    try {
      do {
        this.#again = false;
        const inventory = await call("GET", "/v1/inventory", { signal: this.#stop.signal });
        this.#model.take(inventory);
      } while (this.#again);
    } catch (error) {
      if (!this.#stop.signal.aborted) await this.#lost(error);
      throw error;
    }
    if (this.#failures > 0) await this.#returned();
    this.#failures = 0;
    this.#report(this.#streaming ? "live" : "polling");
  }

  async #lost(error) {
    if (error instanceof SignedOut) return;
    this.#failures += 1;
    if (error instanceof Unreachable || error.status >= 500) this.#report("lost");
  }

  /** The server may have come back with other rules: then redraw this page. */
  async #returned() {
    const world = await ask("GET", "/v1/world").catch(() => null);
    if (world && world.ruleset.version !== this.#model.ruleset.version) location.reload();
  }

  // --- asking ------------------------------------------------------------------------------

  #schedule() {
    clearTimeout(this.#timer);
    if (this.#stop.signal.aborted) return;
    this.#timer = setTimeout(async () => {
      if (!document.hidden) await this.refresh().catch(() => {});
      this.#schedule();
    }, this.#wait());
  }

  #wait() {
    if (this.#failures > 0) return Math.min(RETRY_MS_MAX, 1_000 * 2 ** this.#failures);
    const due = this.#model.inventory.orders
      .filter((order) => order.finishes_at)
      .map((order) => this.#model.until(order.finishes_at));
    // With the stream, polling only guards against missed events.
    const [late, idle] = this.#streaming ? [2_500, SILENCE_MS] : [150, POLL_MS];
    return Math.max(250, Math.min(idle, ...due.map((ms) => ms + late)));
  }

  // --- the stream --------------------------------------------------------------------------

  async #follow() {
    for (let failures = 0; !this.#stop.signal.aborted; failures += 1) {
      const silence = new AbortController();
      const signal = AbortSignal.any([this.#stop.signal, silence.signal]);
      try {
        const response = await openStream("/v1/events", this.#lastId, signal);
        this.#streaming = true;
        failures = 0;
        this.#report("live");
        this.#schedule();
        await this.#read(response.body, silence);
      } catch (error) {
        if (error instanceof SignedOut || this.#stop.signal.aborted) return;
        // A server without the stream: polling will do.
        if (error instanceof Problem && NO_STREAM.has(error.status)) return;
      }
      this.#streaming = false;
      // Finds out whether only the stream is gone, or the server.
      await this.refresh().catch(() => {});
      this.#schedule();
      const pause = Math.min(RETRY_MS_MAX, 500 * 2 ** failures);
      await new Promise((resume) => setTimeout(resume, pause * (0.75 + Math.random() / 2)));
    }
  }

  async #read(body, silence) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const watchdog = setTimeout(() => silence.abort(), SILENCE_MS);
      const { value, done } = await reader.read().finally(() => clearTimeout(watchdog));
      if (done) return;
      const blocks = (rest + value).replace(/\r\n?/g, "\n").split("\n\n");
      rest = blocks.pop();
      blocks.forEach((block) => this.#event(block));
    }
  }

  /** Handle one event (WHATWG HTML, 9.2.6); comments are heartbeats and carry nothing. */
  #event(block) {
    const fields = { data: [] };
    for (const line of block.split("\n")) {
      const [, name, value] = /^([a-z]+): ?(.*)$/.exec(line) ?? [];
      if (name === "data") fields.data.push(value);
      else if (name) fields[name] = value;
    }
    if (fields.id) this.#lastId = fields.id;
    if (fields.data.length === 0) return;
    this.#take(fields.event, JSON.parse(fields.data.join("\n")));
    this.#schedule();
  }

  #take(name, data) {
    if (data.inventory) this.#model.take(data.inventory);
    else this.refresh().catch(() => {});
    if (data.order) this.#model.note(data.order);
    if (data.transfer) this.#model.tell(name, data.transfer);
  }
}
