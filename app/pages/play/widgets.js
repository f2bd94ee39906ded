// Parts of a card: a level's dial, the choice of an instance, a count, the table of levels.

import { duration, h, number, s, setAttr, setChildren, setText, short, token } from "../shared/dom.js";

const ROUND = 100;

/** A ring that fills with the level; a running order for the next is a second arc. */
export function dial(maxLevel) {
  const arc = s("circle", { class: "dial-arc", cx: 24, cy: 24, r: 20, pathLength: ROUND });
  const rim = s("circle", { class: "dial-rim", cx: 24, cy: 24, r: 20 });
  const ring = s("svg", { viewBox: "0 0 48 48", "aria-hidden": "true" }, rim, arc);
  const figure = h("span", {});
  const node = h("span", { class: "dial", "aria-hidden": "true" }, ring, figure);
  function update(level, pending) {
    setText(figure, number(level));
    const share = maxLevel ? level / maxLevel : 1;
    setAttr(arc, "stroke-dasharray", `${share * ROUND} ${ROUND}`);
    setAttr(node, "data-none", level === 0);
    setAttr(node, "data-busy", pending?.state === "running");
  }
  return { node, update };
}

/** One dial for each instance of a building, as radio buttons; initially the lowest is selected. */
export function instancePicker(model, asset, pick) {
  const choices = asset.instances.map((address) => {
    const ring = dial(asset.max_level);
    const input = h("input", { type: "radio", name: `instance-${asset.name}`, value: address, class: "sr", onchange: () => choose(address) });
    const words = h("span", { class: "sr" });
    return { address, ring, input, words, node: h("label", { class: "choice" }, input, ring.node, words) };
  });
  const legend = h("legend", { class: "sr" }, `Which ${asset.title.toLowerCase()}`);
  const node = h("fieldset", { class: "choices" }, legend, choices.map((choice) => choice.node));
  let chosen = null;

  function choose(address) {
    chosen = address;
    pick(address);
  }

  function update() {
    for (const { address, ring, words } of choices) {
      const level = model.level(address);
      ring.update(level, model.pending(address)[0]);
      setText(words, `${model.title(address)}, level ${level}`);
    }
    if (chosen === null) {
      const lowest = [...asset.instances].sort((a, b) => model.level(a) - model.level(b));
      [chosen] = lowest;
    }
    choices.forEach((choice) => (choice.input.checked = choice.address === chosen));
    return chosen;
  }

  return { node, update };
}

/** A count with buttons for less, more, and the affordable maximum. */
export function stepper(asset, affordable, changed) {
  const id = `count-${asset.name}`;
  const limit = asset.count_max;
  const input = h("input", { id, type: "number", min: 1, max: limit, step: 1, value: 1, inputmode: "numeric", oninput: changed });
  const step = (by) => () => {
    input.value = Math.min(limit, Math.max(1, value() + by));
    changed();
  };
  const most = h("button", { type: "button", class: "quiet small", onclick: () => set(affordable()) }, "Max");
  const node = h(
    "div",
    { class: "stepper" },
    h("label", { for: id, class: "sr" }, `How many ${asset.title}`),
    h("button", { type: "button", class: "quiet", "aria-label": `One ${asset.title} less`, onclick: step(-1) }, "−"),
    input,
    h("button", { type: "button", class: "quiet", "aria-label": `One ${asset.title} more`, onclick: step(1) }, "+"),
    most,
  );
  setAttr(most, "aria-label", `As many ${asset.title} as you can afford`);

  function set(count) {
    input.value = Math.max(1, count);
    changed();
  }

  /** The input, clamped to 1 and the maximum of one order. */
  function value() {
    return Math.min(limit, Math.max(1, Math.floor(Number(input.value)) || 1));
  }

  return { node, value, tick: () => setText(most, `Max ${short(affordable())}`) };
}

/** The next levels with price and duration, drawn when it is opened. */
export function levelTable(model, asset, level) {
  const place = h("div", { class: "level-table", tabindex: 0, role: "region", "aria-label": `Levels of ${asset.title}` });
  const node = h("details", { class: "levels", ontoggle: () => node.update() }, h("summary", {}, "Levels ahead"), place);
  node.update = () => {
    if (node.open) setChildren(place, `${level()}`, () => [table(model, asset, level())]);
  };
  return node;
}

function table(model, asset, level) {
  const rows = asset.levels.slice(level, level + 8);
  const names = model.resourceNames.filter((name) => rows.some((row) => row.cost[name]));
  const heads = names.map((name) =>
    h("th", { scope: "col" }, token(model.resourceNames.indexOf(name)), h("span", { class: "sr" }, model.title(name))),
  );
  const line = (row) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, number(row.level)),
      names.map((name) => h("td", {}, short(row.cost[name] ?? 0))),
      h("td", {}, duration(row.duration_seconds * 1000)),
    );
  const head = h("tr", {}, h("th", { scope: "col" }, "Level"), heads, h("th", { scope: "col" }, "Plain time"));
  return h("table", {}, h("thead", {}, head), h("tbody", {}, rows.map(line)));
}
