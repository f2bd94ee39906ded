// What the next level changes, in words, from the ruleset's tables.

import { h, short, signed, token } from "../shared/dom.js";

/** Items for a list: `+660 Wood/h`, `Room for Wood: 680`, `Workers −2`. */
export function effects(model, asset, level) {
  const isUnit = asset.kind === "unit";
  const next = isUnit ? asset : asset.levels[level - 1];
  if (!next) return [];
  const before = (isUnit ? null : asset.levels[level - 2]) ?? {};
  const items = [
    ...flows(next.produces, before.produces, (name, n) => ({ parts: [sign(model, name), `${signed(n)} ${model.title(name)}/h`] })),
    ...rooms(model, next.capacity),
    ...draws(model, next.balance, before.balance),
    ...asset.modifies.flatMap((change) => modification(model, change, isUnit ? 1 : level)),
  ];
  return items.map(({ lack, parts }) => h("li", { "data-lack": lack }, ...parts, lack ? h("span", { class: "sr" }, ", more than is free") : null));
}

/** Drawing more from a balance than is free slows down everything that draws on it. */
function draws(model, next, before) {
  return flows(next, before, (name, n) => {
    const { produced, used } = model.inventory.balances[name] ?? { produced: 0, used: 0 };
    return { lack: n < 0 && -n > produced - used, parts: [`${signed(n)} ${model.title(name)}`] };
  });
}

const sign = (model, name) => token(model.resourceNames.indexOf(name));

function flows(next = {}, before = {}, words) {
  return Object.entries(next)
    .map(([name, n]) => [name, n - (before[name] ?? 0)])
    .filter(([, n]) => n !== 0)
    .map(([name, n]) => words(name, n));
}

function rooms(model, capacity = {}) {
  return Object.entries(capacity).map(([name, n]) => ({ parts: [sign(model, name), `room for ${short(n)} ${model.title(name)}`] }));
}

function modification(model, change, level) {
  if (change.what === "production") {
    const [now, then] = pair(change.shares, level);
    const more = Math.round((then - now) * 1000) / 10;
    return more ? [{ parts: [sign(model, change.resource), `${signed(more)} % ${model.title(change.resource)}`] }] : [];
  }
  const [now, then] = pair(change.factors, level);
  const less = Math.round((then / now - 1) * 100);
  return less ? [{ parts: [`${signed(less)} % time of ${whose(model, change.assets)}`] }] : [];
}

const pair = (values, level) => [level - 1, level].map((at) => values[Math.min(at, values.length - 1)]);

/** Name all of a kind by the kind, a few by their names. */
function whose(model, names) {
  if (names.length <= 2) return names.map((name) => model.title(name)).join(" and ");
  const words = { building: "buildings", technology: "research", unit: "units" };
  const kinds = new Set(names.map((name) => model.assets.get(name)?.kind));
  return [...kinds].map((kind) => words[kind]).join(" and ");
}
