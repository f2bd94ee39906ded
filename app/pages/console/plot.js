// Lines over a common axis, and a moment on it selected by pointer or keys.

import { h, s, setAttr, setChildren } from "../shared/dom.js";

const WIDTH = 1000;
const HEIGHT = 100;
const STEPS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity };

/**
 * A plot of `lines` lines. `pick(index)` is called with the selected point, or null;
 * `tell(index)` returns its text.
 */
export class Plot {
  #xs = [];
  #paths;
  #area;
  #cursor = s("path", { class: "cursor" });
  #ticks = h("div", { class: "ticks" });
  #pick;
  #tell;

  constructor({ label, lines, filled = false, pick, tell }) {
    this.#pick = pick;
    this.#tell = tell;
    this.#paths = Array.from({ length: lines }, (_, index) => s("path", { class: `line line-${index}` }));
    this.#area = filled ? s("path", { class: "area" }) : null;
    const grid = s("path", { class: "grid", d: [0, 50, 100].map((y) => `M0 ${y}H${WIDTH}`).join("") });
    this.svg = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, grid, this.#area, this.#cursor, this.#paths);
    this.node = h(
      "div",
      {
        class: "plot",
        role: "slider",
        tabindex: 0,
        "aria-label": label,
        "aria-valuemin": 0,
        "aria-valuemax": 0,
        "aria-valuenow": 0,
        "aria-valuetext": "no values yet",
        onpointermove: (event) => this.#point(event),
        onpointerleave: () => this.#pick(null),
        onblur: () => this.#pick(null),
        onfocus: () => this.#focused(),
        onkeydown: (event) => this.#step(event),
      },
      this.svg,
      this.#ticks,
    );
  }

  /**
   * Draw: `xs` from 0 to 1 in order, `lines` of as many values from 0 to 1, null where there is
   * none; `broken` says where a line restarts; `ticks` are `[value, text]` with at most one
   * between top and bottom.
   */
  draw({ xs, lines, ticks, broken = () => false }) {
    this.#xs = xs;
    lines.forEach((values, index) => setAttr(this.#paths[index], "d", trace(xs, values, broken)));
    if (this.#area) setAttr(this.#area, "d", under(xs, lines[0], broken));
    setChildren(this.#ticks, ticks.map(([at, text]) => `${at} ${text}`).join(), () =>
      ticks.map(([at, text]) => h("span", { class: at >= 0.99 ? "high" : at <= 0.01 ? "low" : "middle" }, text)),
    );
    setAttr(this.node, "aria-valuemax", Math.max(0, xs.length - 1));
    if (document.activeElement !== this.node) this.#say(xs.length - 1);
  }

  /** Mark a point, or none. */
  mark(index) {
    const x = index === null ? null : this.#xs[index];
    setAttr(this.#cursor, "d", x === null || x === undefined ? null : `M${x * WIDTH} 0V${HEIGHT}`);
    if (index !== null && document.activeElement === this.node) this.#say(index);
  }

  #say(index) {
    if (index < 0) return;
    setAttr(this.node, "aria-valuenow", index);
    setAttr(this.node, "aria-valuetext", this.#tell(index));
  }

  #focused() {
    // A mouse press also focuses, and selects a point itself.
    if (this.node.matches(":focus-visible") && this.#xs.length > 0) this.#pick(this.#xs.length - 1);
  }

  #point(event) {
    if (this.#xs.length === 0) return;
    const { left, width } = this.svg.getBoundingClientRect();
    const x = (event.clientX - left) / width;
    let nearest = 0;
    this.#xs.forEach((each, index) => {
      if (Math.abs(each - x) < Math.abs(this.#xs[nearest] - x)) nearest = index;
    });
    this.#pick(nearest);
  }

  #step(event) {
    if (event.key === "Escape") this.#pick(null);
    const by = STEPS[event.key];
    if (!by || this.#xs.length === 0) return;
    event.preventDefault();
    const index = Number(this.node.getAttribute("aria-valuenow")) + by;
    this.#pick(Math.min(this.#xs.length - 1, Math.max(0, index)));
  }
}

const at = (xs, values, index) => `${(xs[index] * WIDTH).toFixed(1)} ${((1 - values[index]) * HEIGHT).toFixed(2)}`;

/** A line; a lone value between gaps is a short dash, to be visible. */
function trace(xs, values, broken) {
  let text = "";
  let joined = false;
  values.forEach((value, index) => {
    if (value === null || value === undefined) {
      joined = false;
      return;
    }
    text += `${joined && !broken(index) ? "L" : "M"}${at(xs, values, index)}`;
    if (!joined) text += "h1";
    joined = true;
  });
  return text;
}

function under(xs, values, broken) {
  let text = "";
  let first = null;
  const close = (last) => {
    if (first !== null) text += `L${(xs[last] * WIDTH).toFixed(1)} ${HEIGHT}L${(xs[first] * WIDTH).toFixed(1)} ${HEIGHT}Z`;
    first = null;
  };
  values.forEach((value, index) => {
    if (first !== null && (value === null || broken(index))) close(index - 1);
    if (value === null || value === undefined) return;
    text += `${first === null ? "M" : "L"}${at(xs, values, index)}`;
    first ??= index;
  });
  close(values.length - 1);
  return text;
}
