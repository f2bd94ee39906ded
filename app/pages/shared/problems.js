// Error messages for refusals.

import { Problem, SignedOut, Unreachable } from "./api.js";
import { duration } from "./dom.js";

const KNOWN = {
  "username-taken": "This name is taken. Choose another, or sign in if it is yours.",
  "registration-closed": "Nobody can register here. Ask whoever runs this world for an account.",
  "invalid-credentials": "Unknown name or wrong password.",
  conflict: "Something changed at the same moment. Please try again.",
  "too-many-requests": "That was too much at once. Please try again in a moment.",
  overloaded: "The server is busy. Please try again in a moment.",
  "reply-timeout": "The server took too long. Please try again in a moment.",
  "actor-stopped": "The server was interrupted. Please try again in a moment.",
  unavailable: "The world cannot be reached right now. Please try again soon.",
};

/** Say in a sentence what went wrong; `own` has the texts for kinds that a page knows better. */
export function explain(error, own = {}) {
  if (error instanceof Unreachable || error instanceof SignedOut) return error.message;
  if (!(error instanceof Problem)) {
    console.error(error);
    return "This page met an unexpected error. Please reload it.";
  }
  if (error.slug === "too-many-attempts") {
    const wait = error.retryAfterMs ? ` in ${duration(error.retryAfterMs)}` : " later";
    return `Too many attempts. Please try again${wait}.`;
  }
  const fields = error.body.errors;
  if (fields?.length) {
    return fields.map(({ field, message }) => sentence(field ? `${field}: ${message}` : message)).join(" ");
  }
  return own[error.slug]?.(error.body) ?? KNOWN[error.slug] ?? sentence(error.message);
}

/** Errors of single fields, by name; a map's member (`changes.gold`) appears at the map. */
export function fieldErrors(error) {
  const errors = error instanceof Problem ? (error.body.errors ?? []) : [];
  return Object.fromEntries(errors.map(({ field, message }) => [field.split(".")[0], sentence(message)]));
}

export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
