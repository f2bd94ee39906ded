// Recently logged events, latest first.

import { call } from "../shared/api.js";
import { h, number, setAttr, setText } from "../shared/dom.js";
import { explain } from "../shared/problems.js";
import { Poll, isAway } from "./poll.js";

const EVERY_MS = 1_000;
const PAGE = 200;
const ROWS_MAX = 1_000;
const LEVELS = ["debug", "info", "warning", "error", "critical"];
const KIND = { debug: "plain", info: "plain", warning: "warm", error: "bad", critical: "bad" };
const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });

export function events(context) {
  const alert = h("p", { class: "refusal", role: "alert" });
  const body = h("tbody");
  const picker = h("select", { id: "level", onchange: restart }, LEVELS.map((level) => h("option", { value: level, selected: level === "info" }, `from ${level}`)));
  const follow = h("button", { type: "button", class: "quiet", "aria-pressed": "true", onclick: toggle }, "Follow");
  const state = h("span", { class: "hint", role: "status" }, "following");
  const heads = ["When", "Level", "Event", "With"].map((head) => h("th", { scope: "col" }, head));
  const table = h("table", { class: "list log" }, h("caption", { class: "sr" }, "Recent events, the latest first"), h("thead", {}, h("tr", {}, heads)), body);
  const empty = h("p", { class: "idle" }, "Nothing at this level was logged recently.");
  const bar = h("div", { class: "log-bar" }, h("label", { for: "level", class: "sr" }, "Level"), picker, follow, state);
  const node = h("div", { class: "panel" }, bar, alert, empty, table);
  let after = null;
  let started = null;
  let poll = null;

  function restart() {
    poll?.stop();
    after = null;
    body.replaceChildren();
    begin();
  }

  function begin() {
    poll = new Poll({ every: EVERY_MS, ask: read, report: (error) => setText(alert, error && !isAway(error) ? explain(error) : "") });
    poll.start();
    setAttr(follow, "aria-pressed", "true");
    setText(follow, "Pause");
    setText(state, "following");
  }

  function pause() {
    poll.stop();
    poll = null;
    setAttr(follow, "aria-pressed", "false");
    setText(follow, "Follow");
    setText(state, "paused");
  }

  function toggle() {
    if (poll) pause();
    else begin();
  }

  async function read(signal) {
    // A restarted server counts from the start.
    const now = context.status()?.started_at ?? null;
    if (started && now !== started) after = null;
    started = now;
    const asked = new URLSearchParams({ level: picker.value, limit: PAGE, ...(after === null ? {} : { after }) });
    const page = await call("GET", `/v1/admin/events?${asked}`, { signal });
    const lines = page.entries.map(line).reverse();
    if (after !== null && page.dropped > 0) lines.push(gap(page.dropped));
    after = page.next;
    body.prepend(...lines);
    while (body.children.length > ROWS_MAX) body.lastElementChild.remove();
    empty.hidden = body.children.length > 0;
  }

  return { node, update: () => poll || begin(), stop: () => poll?.stop() };
}

function line({ at, level, event, fields }) {
  const told = Object.entries(fields).map(([name, value]) => h("li", {}, h("span", { class: "hint" }, `${name}=`), value));
  return h(
    "tr",
    { "data-level": level },
    h("td", { class: "at" }, h("time", { datetime: at }, TIME.format(Date.parse(at)))),
    h("td", { class: "level" }, h("span", { class: `badge ${KIND[level] ?? "plain"}` }, level)),
    h("th", { scope: "row", class: "event" }, event),
    h("td", { class: "fields" }, h("ul", {}, told)),
  );
}

const gap = (count) => h("tr", {}, h("td", { colspan: 4, class: "hint" }, `${number(count)} events between these are no longer kept.`));
