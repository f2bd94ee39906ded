// The game: stocks on top, sections to choose from, queues beside them.

import { username } from "../shared/api.js";
import { h, say, setAttr } from "../shared/dom.js";
import { icon } from "./icons.js";
import { Live } from "./live.js";
import { Model } from "./model.js";
import { Quotes } from "./quotes.js";
import { accountView } from "./account.js";
import { assets } from "./assets.js";
import { ledger } from "./ledger.js";
import { queues } from "./queues.js";
import { stocks } from "./stocks.js";
import { transfers } from "./transfers.js";
import { orderName } from "./words.js";

const TICK_MS = 250;

const SECTIONS = [
  { id: "buildings", title: "Buildings", make: (context) => assets(context, "buildings"), there: has("buildings") },
  { id: "technologies", title: "Research", make: (context) => assets(context, "technologies"), there: has("technologies") },
  { id: "units", title: "Units", make: (context) => assets(context, "units"), there: has("units") },
  { id: "transfers", title: "Transfers", make: transfers, there: (ruleset) => ruleset.transfers.enabled },
  { id: "ledger", title: "Ledger", make: ledger, there: () => true },
  // It is reached by the name in the header.
  { id: "account", title: "Account", make: accountView, there: () => true, apart: true },
];

function has(section) {
  return (ruleset) => Object.keys(ruleset[section]).length > 0;
}

export class Game {
  #root;
  #ruleset;
  #model;
  #live;
  #context;
  #parts = [];
  #section = null;
  #links = [];
  #place = h("div", { class: "content" });
  #timer = 0;
  #stopped = new AbortController();

  /** `report` gets the state of the connection, `left` is called if the player erased the account. */
  constructor(root, world, ruleset, { report, left }) {
    this.#root = root;
    this.#ruleset = ruleset;
    this.#model = new Model(world, ruleset);
    this.#live = new Live(this.#model, report);
    const quotes = new Quotes(this.#model, () => this.#tick());
    const refresh = () => this.#live.refresh().catch(() => {});
    this.#context = { model: this.#model, quotes, refresh, left: this.#leave(left) };
  }

  /** Draw everything once the first inventory has arrived. */
  async start() {
    await this.#live.start();
    if (this.#stopped.signal.aborted) return;
    const { signal } = this.#stopped;
    this.#parts = [stocks(this.#context), queues(this.#context)];
    const [stockPart, queuePart] = this.#parts;
    const columns = h("div", { class: "columns" }, queuePart.node, this.#place);
    this.#root.replaceChildren(h("div", { class: "game" }, stockPart.node, this.#nav(), columns));
    this.#model.addEventListener("change", (event) => this.#changed(event.detail), { signal });
    this.#model.addEventListener("transfer", (event) => this.#told(event.detail), { signal });
    window.addEventListener("hashchange", () => this.#open(true), { signal });
    document.addEventListener("visibilitychange", () => this.#tick(), { signal });
    this.#open(false);
    this.#root.querySelector("h1").focus({ preventScroll: true });
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  stop() {
    this.#stopped.abort();
    this.#live.stop();
    clearInterval(this.#timer);
  }

  #leave(left) {
    return (message) => {
      this.stop();
      left(message);
    };
  }

  #nav() {
    const sections = SECTIONS.filter(({ there, apart }) => there(this.#ruleset) && !apart);
    this.#links = sections.map(({ id, title }) =>
      h("a", { href: `#/${id}`, "data-section": id }, icon(id), h("span", {}, title)),
    );
    return h("nav", { class: "tabs", "aria-label": "Sections" }, this.#links);
  }

  #open(moved) {
    const sections = SECTIONS.filter(({ there }) => there(this.#ruleset));
    const wanted = location.hash.slice(2);
    const chosen = sections.find(({ id }) => id === wanted) ?? sections[0];
    for (const link of this.#links) {
      setAttr(link, "aria-current", link.dataset.section === chosen.id ? "page" : null);
    }
    setAttr(document.getElementById("who"), "aria-current", chosen.apart ? "page" : null);
    document.title = `${chosen.title} · ${this.#ruleset.title}`;
    this.#section?.stop?.();
    this.#section = chosen.make(this.#context);
    const heading = h("h1", { tabindex: "-1", id: "section" }, chosen.title);
    this.#place.replaceChildren(heading, this.#section.node);
    this.#section.update();
    if (moved) {
      heading.focus({ preventScroll: true });
      window.scrollTo({ top: 0 });
    }
  }

  #changed({ finished }) {
    for (const part of [...this.#parts, this.#section]) part.update();
    if (finished.length > 0) {
      const names = finished.map((order) => orderName(order, this.#model));
      say(`Finished: ${names.join("; ")}.`);
    }
  }

  #told({ name, transfer }) {
    if (transfer.to !== username() || name !== "transfer-received") return;
    say(`${transfer.from || "Somebody"} has sent you something: see Transfers.`);
  }

  #tick() {
    if (document.hidden || !this.#section) return;
    for (const part of [...this.#parts, this.#section]) part.tick?.();
  }
}
