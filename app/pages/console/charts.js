// The last five minutes as lines, or as a table.

import { h, setAttr, setChildren, setText } from "../shared/dom.js";
import { COUNT, MILLISECONDS, PER_SECOND, ceiling, clock, withUnit } from "./figures.js";
import { Plot } from "./plot.js";

const MINUTE_MS = 60_000;
const ROW_MS = 10_000;

const CHARTS = [
  { title: "Requests", kind: PER_SECOND, lines: { requests: "all", commands: "commands" } },
  { title: "Answer time", kind: MILLISECONDS, lines: { p50: "p50", p95: "p95", p99: "p99" } },
  { title: "Commits", kind: PER_SECOND, lines: { commits: "commits", changes: "changes" } },
  { title: "Changes in a commit", kind: COUNT, lines: { batch: "mean" } },
  { title: "Commit time", kind: MILLISECONDS, lines: { commitP50: "p50", commitP95: "p95" } },
  { title: "Tick lag", kind: MILLISECONDS, lines: { lag: "lag" } },
  { title: "Live accounts", kind: COUNT, lines: { live: "live" } },
  { title: "Open connections", kind: COUNT, lines: { connections: "all", streams: "event streams" } },
];

/** All charts of `history`; they share the selected moment. */
export function charts(history) {
  const made = CHARTS.map((chart) => makeChart(chart, history, (index) => mark(index)));
  const when = h("span", { class: "hint moment" }, "the last minute");
  const grid = h("div", { class: "charts" }, made.map((chart) => chart.node));
  const table = h("div", { class: "scroll chart-table", hidden: true, tabindex: 0, role: "region", "aria-label": "The last five minutes as a table" });
  const toggle = h("button", { type: "button", class: "quiet small", "aria-pressed": "false", onclick: swap }, "As a table");
  const node = h(
    "section",
    { "aria-labelledby": "charts", class: "block" },
    h("div", { class: "block-head" }, h("h2", { id: "charts" }, "Load"), when, toggle),
    grid,
    table,
  );
  // A point by its time: indices shift as old points leave.
  let marked = null;

  function mark(index) {
    marked = index === null ? null : (history.points[index]?.at ?? null);
    show();
  }

  function show() {
    const index = marked === null ? -1 : history.points.findIndex((point) => point.at === marked);
    const shown = index < 0 ? null : index;
    setText(when, shown === null ? `the last ${history.spanMs === MINUTE_MS ? "minute" : `${history.spanMs / MINUTE_MS} minutes`}` : `at ${clock(marked)}`);
    made.forEach((chart) => chart.show(shown));
  }

  function swap() {
    table.hidden = !table.hidden;
    grid.hidden = !table.hidden;
    setAttr(toggle, "aria-pressed", String(!table.hidden));
    update();
  }

  function update() {
    if (!table.hidden) {
      // A table that changes every second is unreadable.
      setChildren(table, String(Math.floor((history.points.at(-1)?.at ?? 0) / ROW_MS)), () => [asTable(history.points)]);
      return;
    }
    made.forEach((chart) => chart.draw());
    show();
  }

  return { node, update };
}

function makeChart({ title, kind, lines }, history, pick) {
  const names = Object.keys(lines);
  const values = names.map(() => h("b", {}, "–"));
  const legend = names.map((name, index) => h("li", {}, h("span", { class: `key key-${index}`, "aria-hidden": "true" }), `${lines[name]} `, values[index]));
  const words = (index) => {
    const point = history.points[index];
    return `${clock(point.at)}: ${names.map((name) => `${lines[name]} ${withUnit(kind, point[name])}`).join(", ")}`;
  };
  const plot = new Plot({ label: `${title}, the last minutes`, lines: names.length, filled: true, pick, tell: words });
  const unit = kind.unit ? h("span", { class: "hint" }, ` ${kind.unit === "/s" ? "per second" : kind.unit}`) : null;
  const node = h("figure", { class: "chart" }, h("figcaption", {}, h("h3", {}, title), unit), plot.node, h("ul", { class: "legend" }, legend));

  function draw() {
    const { points } = history;
    const end = points.at(-1)?.at ?? 0;
    const span = history.spanMs;
    const most = Math.max(0, ...points.flatMap((point) => names.map((name) => point[name] ?? 0)));
    const top = kind === MILLISECONDS ? ceiling(most * 1000) / 1000 : ceiling(Math.max(most, 1));
    plot.draw({
      xs: points.map((point) => Math.max(0, 1 - (end - point.at) / span)),
      lines: names.map((name) => points.map((point) => (point[name] === null ? null : point[name] / top))),
      broken: (index) => points[index].broken,
      ticks: [[1, kind.write(top)], [0.5, kind.write(top / 2)], [0, "0"]],
    });
  }

  function show(index) {
    const point = index === null ? history.points.at(-1) : history.points[index];
    names.forEach((name, line) => setText(values[line], point ? kind.write(point[name]) : "–"));
    plot.mark(index);
  }

  return { node, draw, show };
}

/** The last value of every ten seconds, latest first. */
function asTable(points) {
  const rows = new Map();
  for (const point of points) rows.set(Math.floor(point.at / ROW_MS), point);
  const columns = CHARTS.flatMap(({ title, kind, lines }) =>
    Object.entries(lines).map(([name, line]) => ({ name, kind, title: Object.keys(lines).length > 1 ? `${title}: ${line}` : title })),
  );
  const head = columns.map(({ title, kind }) => h("th", { scope: "col" }, title, kind.unit ? ` (${kind.unit})` : ""));
  const line = (point) => h("tr", {}, h("th", { scope: "row" }, clock(point.at)), columns.map(({ name, kind }) => h("td", {}, kind.write(point[name]))));
  return h("table", { class: "figures-table" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Time"), head)), h("tbody", {}, [...rows.values()].reverse().map(line)));
}
