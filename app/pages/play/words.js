// Refusals and causes in words.

import { Problem, SignedOut, Unreachable } from "./api.js";
import { duration, number } from "./dom.js";

const list = new Intl.ListFormat("en", { type: "conjunction" });

const CAUSES = {
  start: "A new beginning",
  production: "Production",
  "order-placed": "Ordered",
  "order-started": "Started",
  "order-completed": "Completed",
  "unit-completed": "Delivered",
  "order-cancelled": "Cancelled",
  "transfer-sent": "Sent",
  "transfer-received": "Received",
  "transfer-returned": "Came back",
  "held-released": "Found room",
  spilled: "No room left",
  grant: "Granted by an operator",
  "ruleset-changed": "The rules changed",
};

/** What a ledger entry was made for. */
export function cause(name) {
  return CAUSES[name] ?? name.charAt(0).toUpperCase() + name.slice(1).replaceAll("-", " ");
}

const amounts = (model, items) =>
  list.format(Object.entries(items).map(([name, n]) => `${number(n)} ${model.title(name)}`));

const levels = (model, items) =>
  list.format(Object.entries(items).map(([name, n]) => `${model.title(name)} ${number(n)}`));

const KNOWN = {
  "insufficient-resources": (body, model) => `Not enough: ${amounts(model, body.missing)} short.`,
  "prerequisites-missing": (body, model) => `First needed: ${levels(model, body.missing)}.`,
  "queue-full": (body, model) =>
    `${model.ruleset.queues[body.queue]?.title ?? "The queue"} has no free place. Wait for an order to finish, or cancel one.`,
  "max-level": (body, model) => `${model.title(body.asset)} cannot rise above level ${body.level}.`,
  "order-not-pending": (body) => `It is ${body.state} already.`,
  "unknown-account": () => "Nobody here has this name.",
  "transfer-returned": () => "The receiver had no room for it: everything came back.",
  "username-taken": () => "This name is taken. Choose another, or sign in if it is yours.",
  "invalid-credentials": () => "Unknown name or wrong password.",
  conflict: () => "Something changed at the same moment. Please try again.",
  overloaded: () => "The server is busy. Please try again in a moment.",
  "reply-timeout": () => "The server took too long. Please try again in a moment.",
  "actor-stopped": () => "The server was interrupted. Please try again in a moment.",
  unavailable: () => "The world is not reachable for a moment. Please try again soon.",
};

/** Say in a sentence what went wrong. */
export function explain(error, model) {
  if (error instanceof Unreachable || error instanceof SignedOut) return error.message;
  if (!(error instanceof Problem)) {
    console.error(error);
    return "This page met something it did not foresee. Please reload it.";
  }
  if (error.slug === "too-many-attempts") {
    const wait = error.retryAfterMs ? ` in ${duration(error.retryAfterMs)}` : " later";
    return `Too many attempts. Please try again${wait}.`;
  }
  const fields = error.body.errors;
  if (fields?.length) {
    return fields.map(({ field, message }) => sentence(field ? `${field}: ${message}` : message)).join(" ");
  }
  return KNOWN[error.slug]?.(error.body, model) ?? sentence(error.message);
}

/** Refusals of single fields, by name. */
export function fieldErrors(error) {
  const errors = error instanceof Problem ? (error.body.errors ?? []) : [];
  return Object.fromEntries(errors.map(({ field, message }) => [field, sentence(message)]));
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

/** How an order is called: "Woodcutter, level 3" or "5 × Scout". */
export function orderName(order, model) {
  const title = model.title(order.asset);
  return order.count === undefined ? `${title}, level ${order.level}` : `${number(order.count)} × ${title}`;
}
