// Signing in and signing up.

import { signIn, signUp } from "../shared/api.js";
import { h, plural, s, setAttr, setText, token } from "../shared/dom.js";
import { field, passwordField, submit } from "../shared/forms.js";

const MODES = {
  up: { tab: "Create account", action: "Create account and begin", password: "new-password" },
  in: { tab: "Sign in", action: "Sign in", password: "current-password" },
};

/** Make the page for signed-out users; `entered` is called with a session. */
export function gate(world, ruleset, { message, mode, entered }) {
  return h(
    "div",
    { class: "gate" },
    welcome(world, ruleset),
    form(message, entered, mode),
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

function form(message, entered, start) {
  let mode = start;
  const name = field("username", "Name", { autocomplete: "username", maxlength: 64, spellcheck: "false", autocapitalize: "none" });
  const password = passwordField("password", "Password");
  const alert = h("p", { class: "refusal", role: "alert" }, message);
  const button = h("button", { type: "submit", class: "primary wide" });
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
    button,
  );

  function turn(key) {
    mode = key;
    tabs.forEach((tab) => (tab.firstChild.checked = tab.firstChild.value === key));
    setText(button, MODES[key].action);
    setAttr(password.input, "autocomplete", MODES[key].password);
    name.hint(key === "up" ? "3 to 32 letters, digits, - _ or ." : "");
    password.hint(key === "up" ? "A few words are best" : "");
    setText(alert, "");
    [name, password].forEach((each) => each.refuse(""));
  }

  function send(event) {
    event.preventDefault();
    const blame = (error) => (error.slug === "invalid-credentials" ? "password" : "username");
    submit({ button, fields: { username: name, password }, alert, task, blame });
  }

  async function task() {
    const who = [name.input.value.trim(), password.input.value];
    const made = mode === "up";
    if (made) await signUp(...who);
    try {
      await signIn(...who);
    } catch (error) {
      // The account exists by now: the next attempt signs in to it.
      if (made) turn("in");
      throw error;
    }
    await entered();
  }

  turn(mode);
  setText(alert, message);
  return node;
}
