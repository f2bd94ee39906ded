// Fields with their hints and errors, and forms that are sent once at a time.

import { h, setAttr, setText } from "./dom.js";
import { explain, fieldErrors } from "./problems.js";

/** Make a field: an input with its label, a hint, and room for an error. */
export function field(id, title, attributes) {
  const input = h("input", { id, name: id, required: true, "aria-describedby": `${id}-hint ${id}-error`, ...attributes });
  const hint = h("span", { id: `${id}-hint`, class: "hint" });
  const error = h("span", { id: `${id}-error`, class: "refusal", "aria-live": "polite" });
  const label = h("label", { for: id }, title);
  return {
    input,
    node: h("div", { class: "field" }, h("div", { class: "field-head" }, label, hint), h("div", { class: "field-box" }, input), error),
    hint: (text) => setText(hint, text),
    refuse: (text) => {
      setText(error, text);
      setAttr(input, "aria-invalid", text ? "true" : null);
    },
  };
}

/** Make a field for a password, which can be shown. */
export function passwordField(id, title, attributes) {
  const made = field(id, title, { type: "password", ...attributes });
  const reveal = h("button", { type: "button", class: "quiet reveal", "aria-pressed": "false", onclick: toggle }, "Show");
  setAttr(reveal, "aria-label", `Show: ${title}`);
  made.input.after(reveal);

  function toggle() {
    const shown = made.input.type === "text";
    made.input.type = shown ? "password" : "text";
    setAttr(reveal, "aria-pressed", String(!shown));
    setText(reveal, shown ? "Show" : "Hide");
  }

  return made;
}

/**
 * Send a form: every field must be filled in, and errors are shown at their field, or in `alert`.
 * `fields` maps the API's names for them; `task` does the work; `blame` may name the field to return
 * to after an error that concerns none of them.
 */
export async function submit({ button, fields, alert, task, own, blame }) {
  if (button.getAttribute("aria-busy") === "true") return;
  const all = Object.values(fields);
  all.forEach((each) => each.refuse(each.input.value.trim() ? "" : "Please fill this in."));
  const empty = all.find((each) => !each.input.value.trim());
  setText(alert, "");
  if (empty) {
    empty.input.focus();
    return;
  }
  setAttr(button, "aria-busy", "true");
  try {
    await task();
  } catch (error) {
    const refused = refuse(error, fields, alert, own);
    (fields[refused ?? blame?.(error)] ?? all[0]).input.focus();
  } finally {
    setAttr(button, "aria-busy", null);
  }
}

function refuse(error, fields, alert, own) {
  const errors = fieldErrors(error);
  const names = Object.keys(fields).filter((name) => errors[name]);
  names.forEach((name) => fields[name].refuse(errors[name]));
  setText(alert, names.length > 0 ? "" : explain(error, own));
  return names[0];
}
