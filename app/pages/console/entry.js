// Signing in as an operator.

import { signIn } from "../shared/api.js";
import { h } from "../shared/dom.js";
import { field, passwordField, submit } from "../shared/forms.js";

export function entry({ message, entered }) {
  const name = field("username", "Name", { autocomplete: "username", maxlength: 64, spellcheck: "false", autocapitalize: "none" });
  const password = passwordField("password", "Password", { autocomplete: "current-password" });
  const alert = h("p", { class: "refusal", role: "alert" }, message);
  const button = h("button", { type: "submit", class: "primary wide" }, "Sign in");
  const node = h(
    "form",
    { class: "entry", method: "post", novalidate: true, onsubmit: send },
    h("h1", { tabindex: "-1" }, "Operators' console"),
    name.node,
    password.node,
    alert,
    button,
  );

  function send(event) {
    event.preventDefault();
    const blame = (error) => (error.slug === "invalid-credentials" ? "password" : "username");
    submit({ button, fields: { username: name, password }, alert, task, blame });
  }

  async function task() {
    await signIn(name.input.value.trim(), password.input.value);
    await entered();
  }

  return { node, focus: () => name.input.focus() };
}
