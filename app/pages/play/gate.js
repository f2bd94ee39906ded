// Signing in and signing up.

import { signIn, signUp } from "./api.js";
import { h, plural, s, setAttr, setText, token } from "./dom.js";
import { explain, fieldErrors } from "./words.js";

const MODES = {
  up: { tab: "Create account", action: "Create account and begin", password: "new-password", enter: signUp },
  in: { tab: "Sign in", action: "Sign in", password: "current-password", enter: signIn },
};

/** Make the page for whoever is not signed in; `entered` is called with a session. */
export function gate(world, ruleset, { message, mode, entered }) {
  return h(
    "div",
    { class: "gate" },
    welcome(world, ruleset),
    form(world, ruleset, message, entered, mode),
  );
}

function welcome(world, ruleset) {
  const resources = Object.values(ruleset.resources).map((resource, index) =>
    h("li", {}, token(index), resource.title),
  );
  const counts = [
    [ruleset.buildings, "building"],
    [ruleset.technologies, "technology", "technologies"],
    [ruleset.units, "unit"],
  ]
    .map(([items, ...words]) => [Object.keys(items).length, ...words])
    .filter(([count]) => count > 0)
    .map((words) => plural(...words));
  const pace = world.speed === 1 ? [] : [`speed × ${world.speed}`];
  return h(
    "section",
    { class: "welcome" },
    rings(),
    h("p", { class: "eyebrow" }, "A world that goes on without you"),
    h("h1", { tabindex: "-1" }, ruleset.title),
    h("p", { class: "lead" }, ruleset.description),
    h("ul", { class: "goods", "aria-label": "Resources of this world" }, resources),
    h("p", { class: "facts" }, [...counts, ...pace].join(" · ")),
  );
}

/** Growth rings, faint behind the words. */
function rings() {
  const each = Array.from({ length: 11 }, (_, n) =>
    s("ellipse", { cx: 200 + n * 2.4, cy: 200 - n * 1.7, rx: 14 + n * 17 + (n % 3) * 3, ry: 12 + n * 16 }),
  );
  return s("svg", { class: "rings", viewBox: "0 0 400 400", "aria-hidden": "true" }, each);
}

function form(world, ruleset, message, entered, start) {
  let mode = start;
  const name = field("username", "Name", { autocomplete: "username", maxlength: 64, spellcheck: "false", autocapitalize: "none" });
  const password = field("password", "Password", { type: "password" });
  const reveal = h("button", { type: "button", class: "quiet reveal", "aria-pressed": "false", onclick: toggle }, "Show");
  password.input.after(reveal);
  const alert = h("p", { class: "refusal", role: "alert" }, message);
  const submit = h("button", { type: "submit", class: "primary wide" });
  const tabs = Object.entries(MODES).map(([key, { tab }]) => {
    const radio = h("input", { type: "radio", name: "mode", value: key, onchange: () => turn(key) });
    return h("label", {}, radio, h("span", {}, tab));
  });
  const node = h(
    "form",
    { class: "entry", method: "post", novalidate: true, onsubmit: send },
    h("fieldset", { class: "switch" }, h("legend", { class: "sr" }, "What to do"), tabs),
    name.node,
    password.node,
    alert,
    submit,
  );

  function turn(key) {
    mode = key;
    tabs.forEach((tab) => (tab.firstChild.checked = tab.firstChild.value === key));
    setText(submit, MODES[key].action);
    setAttr(password.input, "autocomplete", MODES[key].password);
    name.hint(key === "up" ? "3 to 32 letters, digits, - _ or ." : "");
    password.hint(key === "up" ? "At least 8 characters" : "");
    setText(alert, "");
    [name, password].forEach((each) => each.refuse(""));
  }

  function toggle() {
    const shown = password.input.type === "text";
    password.input.type = shown ? "password" : "text";
    setAttr(reveal, "aria-pressed", String(!shown));
    setText(reveal, shown ? "Show" : "Hide");
  }

  async function send(event) {
    event.preventDefault();
    if (submit.getAttribute("aria-busy") === "true") return;
    [name, password].forEach((each) => each.refuse(each.input.value ? "" : "Please fill this in."));
    if (!name.input.value || !password.input.value) {
      (name.input.value ? password : name).input.focus();
      return;
    }
    setAttr(submit, "aria-busy", "true");
    setText(alert, "");
    try {
      await MODES[mode].enter(name.input.value.trim(), password.input.value);
      await entered();
    } catch (error) {
      refuse(error);
    } finally {
      setAttr(submit, "aria-busy", null);
    }
  }

  function refuse(error) {
    const errors = fieldErrors(error);
    name.refuse(errors.username ?? "");
    password.refuse(errors.password ?? "");
    const placed = errors.username || errors.password;
    setText(alert, placed ? "" : explain(error, { ruleset }));
    ((errors.password && !errors.username) || error.slug === "invalid-credentials" ? password : name).input.focus();
  }

  turn(mode);
  setText(alert, message);
  return node;
}

function field(id, title, attributes) {
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
