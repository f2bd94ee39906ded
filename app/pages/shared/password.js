// Changing one's own password.

import { changePassword } from "./api.js";
import { h, setText } from "./dom.js";
import { passwordField, submit } from "./forms.js";

const OWN = { "invalid-credentials": () => "The current password is wrong." };

/** Make the form; `changed` is called once the new password is valid. */
export function passwordForm({ heading, words, action, changed, wide = false, current = "" }) {
  const alert = h("p", { class: "refusal", role: "alert" });
  const button = h("button", { type: "submit", class: wide ? "primary wide" : "primary" }, action);
  const now = passwordField("current_password", "Current password", { autocomplete: "current-password", value: current });
  const next = passwordField("new_password", "New password", { autocomplete: "new-password" });
  next.hint("A few words are best");
  const fields = { current_password: now, new_password: next };

  function send(event) {
    event.preventDefault();
    submit({ button, fields, alert, own: OWN, task: change });
  }

  async function change() {
    await changePassword(now.input.value, next.input.value);
    for (const each of Object.values(fields)) each.input.value = "";
    await changed();
  }

  const node = h("form", { class: wide ? "entry" : "panel", method: "post", novalidate: true, onsubmit: send }, heading, h("p", { class: "hint" }, words), now.node, next.node, alert, button);
  return { node, focus: () => (current ? next : now).input.focus(), tell: (text) => setText(alert, text) };
}
