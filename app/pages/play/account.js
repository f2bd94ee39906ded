// The player's own account: password, sessions, and leaving for good.

import { account, call, eraseAccount, signOutEverywhere } from "../shared/api.js";
import { h, moment, say, setText } from "../shared/dom.js";
import { ask } from "../shared/dialog.js";
import { passwordField } from "../shared/forms.js";
import { passwordForm } from "../shared/password.js";
import { explain } from "../shared/problems.js";
import { sessionTable } from "../shared/sessions.js";

const WRONG = { "invalid-credentials": () => "This is not your password." };

export function accountView({ left }) {
  const place = h("div", {});
  const alert = h("p", { class: "refusal", role: "alert" });
  const { username, created_at: created } = account();

  async function update() {
    try {
      const { sessions } = await call("GET", "/v1/sessions");
      place.replaceChildren(sessionTable(sessions, endButton));
      setText(alert, "");
    } catch (error) {
      setText(alert, explain(error));
    }
  }

  const password = passwordForm({
    heading: h("h2", {}, "Password"),
    words: "Changing it ends all your other sessions; this one goes on.",
    action: "Change password",
    changed: async () => {
      say("Your password is changed. Every other session has ended.");
      await update();
    },
  });
  const sessions = h(
    "section",
    { class: "panel", "aria-labelledby": "sessions" },
    h("h2", { id: "sessions" }, "Where you are signed in"),
    h("p", { class: "hint" }, "To end all but this one, change your password."),
    place,
    alert,
    h("button", { type: "button", class: "quiet", onclick: endAll }, "Sign out everywhere"),
  );

  const endButton = (row) =>
    row.current ? null : h("button", { type: "button", class: "quiet small", "aria-label": `End the session of ${moment(row.created_at)}`, onclick: () => endOne(row) }, "End…");

  async function endOne({ session_id: id, created_at: began }) {
    const content = h("p", {}, "Whoever uses it must sign in again. Your other sessions go on.");
    // One that is not there any more has ended too.
    const act = async () =>
      call("DELETE", `/v1/sessions/${id}`).then(() => true, (error) => {
        if (error.slug !== "unknown-session") throw error;
        return true;
      });
    if (!(await ask({ title: `End the session of ${moment(began)}?`, content, action: "End session", danger: true, act }))) return;
    say("The session has ended.");
    await update();
    sessions.querySelector("button").focus();
  }

  async function endAll() {
    const content = h("p", {}, "All your sessions end, including this one. Your world goes on.");
    const act = async () => (await signOutEverywhere(), true);
    if (await ask({ title: "Sign out everywhere?", content, action: "Sign out everywhere", act })) left("You are signed out everywhere.");
  }

  async function erase() {
    const field = passwordField("password", "Your password", { autocomplete: "current-password" });
    const content = [
      h("p", {}, "Everything you own and your name are erased at once. Nobody can bring them back, not even an operator."),
      field.node,
    ];
    const act = async () => (await eraseAccount(field.input.value), true);
    const title = `Erase the account ${username}?`;
    if (await ask({ title, content, action: "Erase for good", danger: true, act, fields: { password: field }, own: WRONG })) left("Your account is erased.");
  }

  const node = h(
    "div",
    { class: "two account" },
    h("div", { class: "stack" }, sessions, h("section", { class: "panel", "aria-labelledby": "leaving" },
      h("h2", { id: "leaving" }, "Leaving for good"),
      h("p", { class: "hint" }, `Your account ${username} has existed since ${moment(created)}. Erasing it removes all it has from this world.`),
      h("button", { type: "button", class: "danger", onclick: erase }, "Erase account…"))),
    password.node,
  );
  let drawn = false;

  // Sessions do not change with the world: once is enough.
  return { node, update: () => drawn || ((drawn = true), update()) };
}
