// Refusals and orders in words.

import { number } from "../shared/dom.js";
import { requiredIn } from "../shared/names.js";
import { explain as explainPlainly } from "../shared/problems.js";

const list = new Intl.ListFormat("en", { type: "conjunction" });

const amounts = (model, items) =>
  list.format(Object.entries(items).map(([name, n]) => `${number(n)} ${model.title(name)}`));

const levels = (model, items) =>
  list.format(Object.entries(items).map(([name, n]) => requiredIn(model.ruleset, name, n)));

const KNOWN = {
  "insufficient-resources": (body, model) => `Not enough: ${amounts(model, body.missing)} short.`,
  "prerequisites-missing": (body, model) => `First needed: ${levels(model, body.missing)}.`,
  "queue-full": (body, model) =>
    `${model.ruleset.queues[body.queue]?.title ?? "The queue"} has no free place. Wait for an order to finish, or cancel one.`,
  "max-level": (body, model) => `${model.title(body.asset)} cannot rise above level ${body.level}.`,
  "order-not-pending": (body) => `It is already ${body.state}.`,
  "unknown-account": () => "Nobody here has this name.",
  "transfer-returned": () => "The receiver had no room for it: everything came back.",
};

/** Say in a sentence what went wrong, with the ruleset's names. */
export function explain(error, model) {
  const own = Object.entries(KNOWN).map(([slug, words]) => [slug, (body) => words(body, model)]);
  return explainPlainly(error, Object.fromEntries(own));
}

/** The name of an order: "Woodcutter, level 3" or "5 × Scout". */
export function orderName(order, model) {
  const title = model.title(order.asset);
  return order.count === undefined ? `${title}, level ${order.level}` : `${number(order.count)} × ${title}`;
}
