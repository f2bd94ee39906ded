// The sections, and the status, which is polled while the page is visible.

import { ask, call } from "../shared/api.js";
import { showLive } from "../shared/chrome.js";
import { h, say, setAttr, setText } from "../shared/dom.js";
import { titleIn } from "../shared/names.js";
import { explain } from "../shared/problems.js";
import { accounts } from "./accounts.js";
import { audit } from "./audit.js";
import { events } from "./events.js";
import { History } from "./history.js";
import { icon } from "./icons.js";
import { overview } from "./overview.js";
import { Poll, isAway } from "./poll.js";
import { rules } from "./rules.js";

const EVERY_MS = 1_000;

const SECTIONS = [
  { id: "overview", title: "Overview", make: overview },
  { id: "accounts", title: "Accounts", make: accounts },
  { id: "audit", title: "Audit log", make: audit },
  { id: "rules", title: "Rules", make: rules },
  { id: "events", title: "Events", make: events },
];

/** Decode a part of the hash; if it is malformed, leave it as it is. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export class Console {
  #root;
  #status = null;
  #context;
  #restarted = false;
  #links = [];
  #shown = null;
  #section = null;
  #heading = h("h1", { tabindex: "-1" });
  #place = h("div", { class: "content" });
  #alert = h("p", { class: "refusal", role: "alert" });
  #poll;
  #stopped = new AbortController();

  constructor(root) {
    this.#root = root;
    this.#context = {
      history: new History(),
      ruleset: null,
      status: () => this.#status,
      title: (name) => titleIn(this.#context.ruleset, name),
      rename: (title) => this.#rename(title),
    };
    this.#poll = new Poll({ every: EVERY_MS, ask: (signal) => this.#ask(signal), report: (error) => this.#told(error) });
  }

  async start() {
    const { signal } = this.#stopped;
    this.#context.ruleset = await ask("GET", "/v1/ruleset");
    if (signal.aborted) return;
    this.#links = SECTIONS.map(({ id, title }) => h("a", { href: `#/${id}`, "data-section": id }, icon(id), h("span", {}, title)));
    const nav = h("nav", { class: "tabs", "aria-label": "Sections" }, this.#links);
    this.#place.append(this.#heading, this.#alert);
    this.#root.replaceChildren(h("div", { class: "console" }, nav, this.#place));
    window.addEventListener("hashchange", () => this.#open(true), { signal });
    this.#open(false);
    this.#heading.focus({ preventScroll: true });
    await this.#poll.start();
  }

  stop() {
    this.#stopped.abort();
    this.#poll.stop();
    this.#section?.stop?.();
  }

  async #ask(signal) {
    this.#status = await call("GET", "/v1/admin/status", { signal });
    this.#restarted = this.#context.history.take(this.#status);
    const { ruleset } = this.#context;
    if (this.#status.world.ruleset.version !== ruleset.version) await this.#takeRules();
    setText(document.querySelector(".brand-name"), this.#status.world.name);
    if (this.#shown === "overview") this.#section.update();
  }

  /** The server has other rules: redraw what depends on the rules alone. */
  async #takeRules() {
    this.#context.ruleset = await ask("GET", "/v1/ruleset");
    if (this.#shown !== "rules") return;
    const had = this.#section.node.contains(document.activeElement);
    this.#shown = null;
    this.#open(had);
  }

  #told(error) {
    const away = error !== null && isAway(error);
    showLive(away ? "lost" : "live");
    if (this.#restarted) say("The server has been restarted.");
    this.#restarted = false;
    setText(this.#alert, error === null || away ? "" : explain(error));
  }

  /** `#/accounts/ID` is the section "accounts", showing ID. */
  #open(moved) {
    const [wanted, ...rest] = location.hash.slice(2).split("/").map(decoded);
    const chosen = SECTIONS.find(({ id }) => id === wanted) ?? SECTIONS[0];
    for (const link of this.#links) setAttr(link, "aria-current", link.dataset.section === chosen.id ? "page" : null);
    const inside = this.#shown === chosen.id && this.#section.show?.(rest);
    if (!inside) {
      this.#section?.stop?.();
      this.#shown = chosen.id;
      this.#rename(chosen.title);
      this.#section = chosen.make(this.#context, rest);
      this.#place.replaceChildren(this.#heading, this.#alert, this.#section.node);
      this.#section.update();
    }
    if (!moved || inside) return;
    this.#heading.focus({ preventScroll: true });
    window.scrollTo({ top: 0 });
  }

  #rename(title) {
    setText(this.#heading, title);
    document.title = `${title} · Holdfast console`;
  }
}
