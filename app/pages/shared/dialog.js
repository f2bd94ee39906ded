// A modal question.

import { SignedOut } from "./api.js";
import { h, say, setAttr, setText } from "./dom.js";
import { explain, fieldErrors } from "./problems.js";

let count = 0;

/** Cancel every question: its subject is gone. */
export function callOff() {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
}

window.addEventListener("hashchange", callOff);

/**
 * Ask before acting. `content` is between title and buttons; `act` does the work, and if it fails,
 * the dialog stays and says why, at a field of `fields` if it concerns one. Resolves to the result of
 * `act`, or undefined if cancelled; then the focus returns to where it came from. Work in progress
 * when it is cancelled is awaited.
 */
export function ask({ title, content, action, danger = false, act, fields = {}, own }) {
  const id = `dialog-${(count += 1)}`;
  const alert = h("p", { class: "refusal", role: "alert" });
  const go = h("button", { type: "submit", class: danger ? "danger solid" : "primary" }, action);
  const leave = h("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Cancel");
  const form = h("form", { method: "dialog", novalidate: true }, h("h2", { id }, title), content, alert, h("div", { class: "dialog-act" }, leave, go));
  const dialog = h("dialog", { "aria-labelledby": id }, form);
  let acting = Promise.resolve();

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (go.getAttribute("aria-busy") === "true") return;
    setAttr(go, "aria-busy", "true");
    setText(alert, "");
    Object.values(fields).forEach((each) => each.refuse(""));
    acting = (async () => act())();
    try {
      await acting;
      dialog.close();
    } catch (error) {
      if (dialog.open) refuse(error);
      else if (!(error instanceof SignedOut)) say(explain(error, own));
    } finally {
      setAttr(go, "aria-busy", null);
    }
  });

  function refuse(error) {
    // The form itself reports missing fields in place.
    const errors = error instanceof Missing ? { [error.field]: error.message } : fieldErrors(error);
    const name = Object.keys(errors).find((each) => fields[each]);
    if (name) {
      fields[name].refuse(errors[name]);
      fields[name].input.focus();
    } else setText(alert, error instanceof Missing ? error.message : explain(error, own));
  }

  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", async () => {
      dialog.remove();
      resolve(await acting.catch(() => undefined));
    });
  });
}

/** Something that the form needs before it can be sent. */
export class Missing extends Error {
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}
