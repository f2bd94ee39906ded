// The rules in force: each level's price, duration and effects, as a curve and a table.

import { duration, h, number, plural, setAttr, setText, short, signed, token } from "../shared/dom.js";
import { requiredIn } from "../shared/names.js";
import { ceiling, figure } from "./figures.js";
import { Plot } from "./plot.js";

const KINDS = { buildings: "Buildings", technologies: "Research", units: "Units" };
const YEAR_S = 365 * 86_400;

/** What can be drawn per level: `[title, names of the lines, value of one in a level, its format]`. */
const CURVES = {
  cost: { title: "Cost", read: (level) => level.cost, write: short, tick: figure },
  time: { title: "Time", read: (level) => ({ seconds: level.duration_seconds }), write: (seconds) => (seconds > YEAR_S ? `${short(Math.round(seconds / YEAR_S))} years` : duration(seconds * 1000)) },
  production: { title: "Production", read: (level) => level.produces, write: (n) => `${short(n)}/h`, tick: figure },
  capacity: { title: "Room", read: (level) => level.capacity, write: short, tick: figure },
  balance: { title: "Balance", read: (level) => level.balance, write: signed, tick: figure, linear: true },
};

export function rules(context, [wanted]) {
  const { ruleset } = context;
  const all = new Map(Object.keys(KINDS).flatMap((kind) => Object.values(ruleset[kind]).map((asset) => [asset.name, asset])));
  const links = new Map([...all.values()].map((asset) => [asset.name, h("a", { href: `#/rules/${asset.name}` }, asset.title)]));
  const groups = Object.entries(KINDS).filter(([kind]) => Object.keys(ruleset[kind]).length > 0);
  const list = h(
    "nav",
    { class: "panel asset-list", "aria-label": "Assets" },
    groups.map(([kind, title]) => [h("h2", {}, title), h("ul", {}, Object.keys(ruleset[kind]).map((name) => h("li", {}, links.get(name))))]).flat(),
  );
  const picker = h(
    "select",
    { id: "asset", onchange: () => (location.hash = `#/rules/${picker.value}`) },
    groups.map(([kind, title]) => h("optgroup", { label: title }, Object.values(ruleset[kind]).map((asset) => h("option", { value: asset.name }, asset.title)))),
  );
  const choice = h("div", { class: "field asset-choice" }, h("label", { for: "asset" }, "Asset"), picker);
  const place = h("div", { class: "stack" });
  const node = h("div", { class: "stack" }, facts(ruleset), h("div", { class: "rules" }, list, choice, place));

  function show([name]) {
    const asset = all.get(name) ?? all.values().next().value;
    for (const [key, link] of links) setAttr(link, "aria-current", key === asset.name ? "true" : null);
    picker.value = asset.name;
    place.replaceChildren(...sheet(context, asset));
    return true;
  }

  return { node, update: () => show([wanted]), show };
}

function facts(ruleset) {
  const parameters = Object.entries(ruleset.parameters).map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`);
  const counts = [plural(Object.keys(ruleset.buildings).length, "building"), plural(Object.keys(ruleset.technologies).length, "technology", "technologies"), plural(Object.keys(ruleset.units).length, "unit")];
  return h(
    "div",
    { class: "panel facts-panel" },
    h("p", {}, h("strong", {}, ruleset.title), " ", h("span", { class: "hint" }, ruleset.description)),
    h("p", { class: "hint" }, `${[...counts, ...parameters].join(" · ")} · version `, h("code", {}, ruleset.version)),
  );
}

function sheet(context, asset) {
  const { ruleset } = context;
  const needs = Object.entries(asset.requires).map(([name, n]) => requiredIn(ruleset, name, n));
  const parts = [
    ruleset.queues[asset.queue]?.title,
    asset.instances?.length > 1 ? `${asset.instances.length} of them` : null,
    asset.max_level ? `up to level ${asset.max_level}` : null,
    `${Math.round(asset.refund * 100)} % back when cancelled`,
    needs.length > 0 ? `needs ${needs.join(", ")}` : null,
  ].filter(Boolean);
  const head = h("div", {}, h("h2", { class: "sheet-title" }, asset.title), h("p", {}, asset.description), h("p", { class: "hint" }, parts.join(" · ")));
  if (!asset.levels) return [h("section", { class: "panel", "aria-label": asset.title }, head, unitTable(context, asset))];
  return [h("section", { class: "panel", "aria-label": asset.title }, head, curve(context, asset)), h("section", { class: "panel", "aria-labelledby": "levels" }, h("h2", { id: "levels" }, "Levels"), levelTable(context, asset))];
}

// --- the curve -----------------------------------------------------------------------------

function curve(context, asset) {
  const kinds = Object.keys(CURVES).filter((kind) => asset.levels.some((level) => Object.keys(CURVES[kind].read(level) ?? {}).length > 0));
  const place = h("div", { class: "curve" });
  const log = h("input", { type: "checkbox", id: "log", onchange: draw });
  const scale = h("label", { class: "check", for: "log" }, log, "Logarithmic");
  const radios = kinds.map((kind, index) => {
    const radio = h("input", { type: "radio", name: "curve", value: kind, checked: index === 0, onchange: draw });
    return h("label", {}, radio, h("span", {}, CURVES[kind].title));
  });
  const choice = h("fieldset", { class: "switch" }, h("legend", { class: "sr" }, "What to draw"), radios);

  function draw() {
    const kind = radios.find((label) => label.firstChild.checked).firstChild.value;
    scale.hidden = Boolean(CURVES[kind].linear);
    place.replaceChildren(...drawn(context, asset, CURVES[kind], log.checked && !CURVES[kind].linear));
  }

  draw();
  return h("div", { class: "curve-box" }, h("div", { class: "curve-bar" }, choice, scale), place);
}

function drawn({ title }, asset, { title: what, read, write, tick = write, linear }, log) {
  const { levels } = asset;
  const names = [...new Set(levels.flatMap((level) => Object.keys(read(level) ?? {})))];
  const value = (level, name) => read(level)?.[name] ?? 0;
  const every = levels.flatMap((level) => names.map((name) => value(level, name)));
  const { place, ticks } = (linear ? signedScale : log ? logScale : linearScale)(every, tick);
  const values = names.map(() => h("b", {}));
  const when = h("b", {});
  const label = (name) => (name === "seconds" ? "time" : title(name));
  const words = (index) => `level ${levels[index].level}: ${names.map((name) => `${label(name)} ${write(value(levels[index], name))}`).join(", ")}`;
  const plot = new Plot({ label: `${what} of ${asset.title} by level`, lines: names.length, filled: names.length === 1 && !linear, pick, tell: words });

  function pick(index) {
    const shown = index ?? levels.length - 1;
    setText(when, `level ${levels[shown].level}`);
    names.forEach((name, line) => setText(values[line], write(value(levels[shown], name))));
    plot.mark(index);
  }

  const last = Math.max(1, levels.length - 1);
  plot.draw({ xs: levels.map((_, index) => index / last), lines: names.map((name) => levels.map((level) => place(value(level, name)))), ticks });
  pick(null);
  const legend = names.map((name, index) => h("li", {}, h("span", { class: `key key-${index}`, "aria-hidden": "true" }), `${label(name)} `, values[index]));
  const axis = h("div", { class: "axis", "aria-hidden": "true" }, h("span", {}, `level ${levels[0].level}`), h("span", {}, `level ${levels.at(-1).level}`));
  return [plot.node, axis, h("ul", { class: "legend" }, h("li", {}, "at ", when), legend)];
}

function linearScale(values, write) {
  const top = Math.max(1, ...values);
  return { place: (n) => n / top, ticks: [[1, write(top)], [0.5, write(top / 2)], [0, write(0)]] };
}

function signedScale(values, write) {
  const size = ceiling(Math.max(1, ...values.map(Math.abs)));
  return { place: (n) => 0.5 + n / size / 2, ticks: [[1, write(size)], [0.5, write(0)], [0, write(-size)]] };
}

function logScale(values, write) {
  const some = values.filter((n) => n > 0);
  const low = Math.floor(Math.log10(Math.min(...some)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...some))));
  const middle = 10 ** ((low + high) / 2);
  return {
    place: (n) => (n > 0 ? (Math.log10(n) - low) / (high - low) : null),
    ticks: [[1, write(10 ** high)], [0.5, write(Math.round(middle))], [0, write(10 ** low)]],
  };
}

// --- the tables ----------------------------------------------------------------------------

function levelTable({ ruleset, title }, { title: name, levels }) {
  const resources = Object.keys(ruleset.resources);
  const columns = Object.values(CURVES).flatMap(({ title: what, read, write }) => {
    const names = [...new Set(levels.flatMap((level) => Object.keys(read(level) ?? {})))];
    return names.map((each) => ({ what, each, write, read: (level) => read(level)?.[each] }));
  });
  const head = ({ what, each }) => {
    const known = resources.includes(each);
    return h("th", { scope: "col" }, h("span", { class: "good" }, known ? token(resources.indexOf(each)) : null, each === "seconds" ? "Time" : what === "Cost" ? title(each) : `${what}: ${title(each)}`));
  };
  const cell = ({ read, write }, level) => {
    const n = read(level);
    return h("td", { title: n === undefined ? null : number(n) }, n === undefined ? "" : write(n));
  };
  const rows = levels.map((level) => h("tr", {}, h("th", { scope: "row" }, number(level.level)), columns.map((column) => cell(column, level))));
  const table = h("table", { class: "figures-table" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Level"), columns.map(head))), h("tbody", {}, rows));
  return h("div", { class: "scroll level-scroll", tabindex: 0, role: "region", "aria-label": `Levels of ${name}` }, table);
}

function unitTable({ ruleset, title }, unit) {
  const resources = Object.keys(ruleset.resources);
  const rows = [
    ...Object.entries(unit.cost).map(([name, n]) => [h("span", { class: "good" }, token(resources.indexOf(name)), title(name)), number(n)]),
    ["Time of one", duration(unit.duration_seconds * 1000)],
    ...["produces", "capacity", "balance"].flatMap((kind) => Object.entries(unit[kind] ?? {}).map(([name, n]) => [`${kind}: ${title(name)}`, number(n)])),
  ];
  return h("table", { class: "figures-table unit-table" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Of one"), h("th", { scope: "col" }, "Amount"))), h("tbody", {}, rows.map(([name, n]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, n)))));
}
