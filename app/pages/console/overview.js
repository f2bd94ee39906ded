// The server at a glance: vital signs, load, parts and counters.

import { duration, h, number, plural, setAttr, setChildren, setText } from "../shared/dom.js";
import { charts } from "./charts.js";
import { clock, figure } from "./figures.js";
import { groups } from "./history.js";
import { tree } from "./tree.js";

const LATE_MS = 1_000;
const DATE = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });

const VITALS = {
  "World time": ({ world }) => [clock(Date.parse(world.now)), `${DATE.format(Date.parse(world.now))} · speed\u00a0×\u00a0${world.speed}`],
  Tick: ({ world }) => [number(world.tick), `every ${number(world.tick_ms)} ms · ${number(world.lag_ms)} ms late`, world.lag_ms > LATE_MS],
  "Live accounts": ({ actors }) => {
    const [group] = groups(actors);
    return group ? [number(group.live), `room for ${number(group.live_max)}`] : ["–", ""];
  },
  Connections: ({ http, streams }) => [number(http.connections.open), plural(streams.open, "event stream")],
  Waiting: ({ bus, storage }) => [number(bus.asks.in_flight), `questions · ${plural(storage.units_waiting, "change")} uncommitted`],
  Trouble: (status) => trouble(status),
  Server: (status) => [duration(Date.parse(status.now) - Date.parse(status.started_at)), `up · version ${status.version}`],
};

function trouble({ http, bus, storage }) {
  const errors = http.statuses["5xx"] ?? 0;
  const refused = Object.values(bus.topics).reduce((sum, topic) => sum + topic.refused, 0);
  const late = bus.asks.timed_out + bus.asks.stopped;
  const sum = errors + refused + late + storage.setbacks;
  const parts = [[errors, "5xx"], [refused, "refused"], [late, "unanswered"], [storage.setbacks, "setbacks"]];
  const told = parts.filter(([n]) => n > 0).map(([n, what]) => `${number(n)} ${what}`);
  return [number(sum), told.join(" · ") || "none since the start", sum > 0];
}

export function overview({ history, status }) {
  const vitals = Object.keys(VITALS).map((title) => vital(title));
  const load = charts(history);
  const parts = tree();
  const counts = counters();
  const node = h("div", { class: "stack" }, h("ul", { class: "vitals" }, vitals.map((each) => each.node)), load.node, parts.node, counts.node);

  function update() {
    const now = status();
    if (!now) return;
    vitals.forEach((each) => each.update(now));
    load.update();
    parts.update(now);
    counts.update(now);
  }

  return { node, update };
}

function vital(title) {
  const value = h("strong", {});
  const more = h("span", { class: "hint" });
  const node = h("li", { class: "vital" }, h("span", { class: "hint" }, title), value, more);
  function update(status) {
    const [text, detail, bad] = VITALS[title](status);
    setText(value, text);
    setText(more, detail);
    setAttr(node, "data-bad", Boolean(bad));
  }
  return { node, update };
}

/** The counters since the start, in small tables. */
function counters() {
  const place = h("div", { class: "counters" });
  const node = h("section", { class: "block", "aria-labelledby": "counts" }, h("div", { class: "block-head" }, h("h2", { id: "counts" }, "Counted since the start")), place);

  function update({ bus, http, logins, storage, streams }) {
    const tables = {
      Requests: { ...http.statuses, abandoned: http.abandoned },
      Connections: { accepted: http.connections.accepted, refused: http.connections.refused },
      Logins: logins,
      "Questions on the bus": bus.asks,
      Storage: { commits: storage.commits, changes: storage.units_committed, "failed changes": storage.units_failed, setbacks: storage.setbacks },
      "Event streams": { opened: streams.opened, refused: streams.refused, "events sent": streams.events },
    };
    const key = JSON.stringify([tables, bus.topics]);
    setChildren(place, key, () => [...Object.entries(tables).map(([title, rows]) => list(title, rows)), topics(bus.topics)]);
  }

  return { node, update };
}

function list(title, rows) {
  const lines = Object.entries(rows).map(([name, n]) => h("div", {}, h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, figure(n))));
  return h("div", { class: "panel count" }, h("h3", {}, title), h("dl", {}, lines));
}

function topics(rows) {
  const names = ["sent", "delivered", "refused", "unclaimed", "unheard"];
  const head = h("tr", {}, h("th", { scope: "col" }, "Topic"), names.map((name) => h("th", { scope: "col" }, name)));
  const lines = Object.entries(rows).map(([topic, counts]) => h("tr", {}, h("th", { scope: "row" }, topic), names.map((name) => h("td", {}, figure(counts[name])))));
  const table = h("table", { class: "figures-table" }, h("thead", {}, head), h("tbody", {}, lines));
  return h("div", { class: "panel count wide-count" }, h("h3", {}, "Messages on the bus"), h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Messages on the bus" }, table));
}
