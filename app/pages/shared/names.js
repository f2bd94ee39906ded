// How the things of a ruleset are called.

const KINDS = ["resources", "balances", "buildings", "technologies", "units"];

/** The title of an asset, a resource, a balance, or an instance: `woodcutter:3` is Woodcutter 3. */
export function titleIn(ruleset, name) {
  const held = name.startsWith("held:");
  const [base, instance] = (held ? name.slice(5) : name).split(":");
  const kind = KINDS.find((each) => Object.hasOwn(ruleset[each], base));
  const title = (kind ? ruleset[kind][base].title : base) + (instance ? ` ${instance}` : "");
  return held ? `${title} (held)` : title;
}
