// Elements without a framework, and the formats of numbers and times.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element: `h("p", { class: "note", onclick: f }, "text", child)`. */
export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** Make an SVG element. */
export function s(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** Change a text only if it differs: an unchanged node costs no layout. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttr(node, name, value) {
  const text = value === true ? "" : value;
  if (text === null || text === undefined || text === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(text)) node.setAttribute(name, text);
}

/** Replace children only if the key differs. */
export function setChildren(node, key, make) {
  if (node.dataset.key === key) return;
  node.dataset.key = key;
  node.replaceChildren(...make().filter(Boolean));
}

/** Put nodes into the given order without touching those already in place. */
export function arrange(parent, nodes) {
  nodes.forEach((node, index) => {
    if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null);
  });
  while (parent.children.length > nodes.length) parent.lastElementChild.remove();
}

const whole = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 2 });
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

export const number = (value) => whole.format(value);
export const short = (value) => (Math.abs(value) < 1e6 ? whole : compact).format(value);
export const signed = (value) => (value < 0 ? "−" : "+") + short(Math.abs(value));

/** A duration in the two largest units that matter: `1 h 20 min`. */
export function duration(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const parts = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  if (first < 0) return "0 s";
  if (parts[first][1] === "d" && parts[first][0] > 999) return `${short(parts[first][0])} d`;
  const told = parts.slice(first, first + 2).filter(([value]) => value > 0);
  return told.map(([value, unit]) => `${value} ${unit}`).join(" ");
}

/** A moment: the time of day, with the date if it is not today. */
export function moment(text) {
  const date = new Date(text);
  const today = date.toDateString() === new Date().toDateString();
  return today ? clock.format(date) : `${day.format(date)}, ${clock.format(date)}`;
}

export const plural = (count, one, many = `${one}s`) =>
  `${number(count)} ${count === 1 ? one : many}`;

let fading = 0;
/** Show a brief message, also to screen readers. */
export function say(text) {
  const status = document.getElementById("status");
  status.textContent = text;
  status.className = "toast";
  clearTimeout(fading);
  fading = setTimeout(() => {
    status.textContent = "";
    status.className = "sr";
  }, 4_000);
}

/** An icon drawn by one line; its meaning is in the text beside it. */
export function glyph(d) {
  return s("svg", { class: "icon", viewBox: "0 0 20 20", "aria-hidden": "true" }, s("path", { d }));
}

// Each resource has its own shape and hue, so that colour alone never distinguishes them.
const SHAPES = [
  "M10 2.5 17.5 10 10 17.5 2.5 10z",
  "M4 4h12v12H4z",
  "M10 2.5a7.5 7.5 0 1 1 0 15a7.5 7.5 0 1 1 0-15z",
  "M10 2.5 18 16.5H2z",
  "M6 3h8l4 7-4 7H6l-4-7z",
  "M10 2c4 5 6 7.5 6 10a6 6 0 0 1-12 0c0-2.5 2-5 6-10z",
  "M10 2l2.4 5.2 5.6.7-4.1 3.9 1.1 5.6L10 14.6 5 17.4l1.1-5.6L2 7.9l5.6-.7z",
  "M3 7h14l-3 10H6zM7 7a3 3 0 0 1 6 0z",
];

/** The icon of the resource at `index` in the ruleset. */
export function token(index) {
  const path = s("path", { d: SHAPES[index % SHAPES.length], "stroke-linejoin": "round" });
  const hue = `token hue-${index % SHAPES.length}`;
  return s("svg", { class: hue, viewBox: "0 0 20 20", "aria-hidden": "true" }, path);
}
