// How the things of a ruleset are called.

import { number } from "./dom.js";

const KINDS = ["resources", "balances", "buildings", "technologies", "units"];

/** The title of an asset, a resource, a balance, or an instance: `woodcutter:3` is Woodcutter 3. */
export function titleIn(ruleset, name) {
  const held = name.startsWith("held:");
  const [base, instance] = (held ? name.slice(5) : name).split(":");
  const kind = KINDS.find((each) => Object.hasOwn(ruleset[each], base));
  const title = (kind ? ruleset[kind][base].title : base) + (instance ? ` ${instance}` : "");
  return held ? `${title} (held)` : title;
}

/** How what has to be there first is called: "Woodcutter level 3" or "5 × Scout". */
export function requiredIn(ruleset, name, n) {
  const title = titleIn(ruleset, name);
  return Object.hasOwn(ruleset.units, name) ? `${number(n)} × ${title}` : `${title} level ${number(n)}`;
}
