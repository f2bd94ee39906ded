// The server's quotes for what is visible: exact duration, and when it will be affordable.

import { call } from "../shared/api.js";

const AT_ONCE = 2;

export class Quotes {
  #model;
  #changed;
  #known = new Map();
  #waiting = new Map();
  #running = 0;

  /** `changed` is called when a quote has arrived. */
  constructor(model, changed) {
    this.#model = model;
    this.#changed = changed;
    // Earlier quotes are stale, and waiting requests may be out of sight by now.
    model.addEventListener("change", () => {
      this.#known.clear();
      this.#waiting.clear();
    });
  }

  /** The quote if it is known; otherwise request it. */
  want(address, count) {
    const key = `${address} ${count ?? ""}`;
    if (!this.#known.has(key)) {
      this.#known.set(key, null);
      this.#waiting.set(key, { address, count });
      this.#next();
    }
    return this.#known.get(key);
  }

  #next() {
    while (this.#running < AT_ONCE && this.#waiting.size > 0) {
      const [key, { address, count }] = this.#waiting.entries().next().value;
      this.#waiting.delete(key);
      this.#fetch(key, address, count);
    }
  }

  async #fetch(key, address, count) {
    const { epoch } = this.#model;
    const query = count === undefined ? "" : `?count=${count}`;
    this.#running += 1;
    try {
      const quote = await call("GET", `/v1/inventory/quotes/${encodeURIComponent(address)}${query}`);
      if (epoch === this.#model.epoch) {
        this.#known.set(key, quote);
        this.#changed();
      }
    } catch {
      // Without a quote the page uses its own estimate; an order would show what is wrong.
    } finally {
      this.#running -= 1;
      this.#next();
    }
  }
}
