// The names of a ruleset's items.

import { number } from "./dom.js";

const KINDS = ["resources", "balances", "buildings", "technologies", "units"];

// Right-to-left letters, and marks that change the direction.
const RIGHT_TO_LEFT = /[\u0590-\u08ff\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufeff\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

/** Isolate a text, so that numbers and signs after it do not join its direction. */
const isolated = (text) => (RIGHT_TO_LEFT.test(text) ? `\u2068${text}\u2069` : text);

/** The title of an asset, a resource, a balance, or an instance: `woodcutter:3` is Woodcutter 3. */
export function titleIn(ruleset, name) {
  const held = name.startsWith("held:");
  const [base, instance] = (held ? name.slice(5) : name).split(":");
  const kind = KINDS.find((each) => Object.hasOwn(ruleset[each], base));
  const title = (kind ? ruleset[kind][base].title : base) + (instance ? ` ${instance}` : "");
  return held ? `${isolated(title)} (held)` : isolated(title);
}

/** The name of a prerequisite: "Woodcutter level 3" or "5 × Scout". */
export function requiredIn(ruleset, name, n) {
  const title = titleIn(ruleset, name);
  return Object.hasOwn(ruleset.units, name) ? `${number(n)} × ${title}` : `${title} level ${number(n)}`;
}
