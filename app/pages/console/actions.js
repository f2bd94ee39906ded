// What an operator may do to an account; each action asks for confirmation and a reason.

import { call, command } from "../shared/api.js";
import { Missing, ask } from "../shared/dialog.js";
import { h, number, plural, setText, signed } from "../shared/dom.js";
import { field } from "../shared/forms.js";

const REASON_MAX = 500;
const path = (account) => `/v1/admin/accounts/${account.account_id}`;

function reasonField() {
  const reason = field("reason", "Reason", { maxlength: REASON_MAX, autocomplete: "off" });
  reason.hint("kept in the audit log");
  return reason;
}

function reasonOf(reason) {
  const text = reason.input.value.trim();
  if (!text) throw new Missing("reason", "Please say why.");
  return text;
}

/** Ask for a reason, then act. */
function withReason({ title, words, action, danger, act }) {
  const reason = reasonField();
  const content = [h("p", {}, words), reason.node];
  return ask({ title, content, action, danger, fields: { reason }, act: () => act(reasonOf(reason)) });
}

export function setSuspended(account, suspended) {
  const name = account.username;
  return withReason({
    title: `${suspended ? "Suspend" : "Resume"} ${name}?`,
    words: suspended ? "Its sessions end at once, nobody can sign in to it, and its world stands still." : "It can be signed in to again, and its world resumes where it stopped.",
    action: suspended ? "Suspend" : "Resume",
    danger: suspended,
    act: async (reason) => {
      await call("POST", `${path(account)}/${suspended ? "suspend" : "resume"}`, { body: { reason } });
      return suspended ? `${name} is suspended.` : `${name} is active again.`;
    },
  });
}

const ended = (account, n) => (n === 0 ? `${account.username} had no live session.` : `${plural(n, "session")} of ${account.username} ended.`);

export function endSessions(account) {
  return withReason({
    title: `End every session of ${account.username}?`,
    words: "Anyone signed in to it must sign in again. Its world goes on.",
    action: "End sessions",
    danger: true,
    act: async (reason) => ended(account, (await call("DELETE", `${path(account)}/sessions`, { body: { reason } })).ended),
  });
}

export function endSession(account, session) {
  return withReason({
    title: `End one session of ${account.username}?`,
    words: session.current ? "This is the session you are using now: you will have to sign in again." : "Its user must sign in again. Other sessions go on.",
    action: "End session",
    danger: true,
    act: async (reason) => ended(account, (await call("DELETE", `${path(account)}/sessions/${session.session_id}`, { body: { reason } })).ended),
  });
}

// --- granting ------------------------------------------------------------------------------

export function grant(context, account, inventory) {
  const reason = reasonField();
  const rows = h("ul", { class: "grant-rows" });
  const outcome = h("p", { class: "hint", role: "status" });
  const refusal = h("span", { class: "refusal", "aria-live": "polite" });
  const more = h("button", { type: "button", class: "quiet small", onclick: () => add().focus() }, "Another asset");
  const content = [rows, h("div", { class: "grant-more" }, more, refusal), outcome, reason.node];
  const changesField = { input: more, refuse: (text) => setText(refusal, text) };
  let count = 0;

  function add() {
    count += 1;
    const picker = h("select", { id: `asset-${count}`, onchange: foresee }, options(context.ruleset));
    const amount = h("input", { id: `amount-${count}`, type: "number", step: 1, inputmode: "numeric", placeholder: "± amount", oninput: foresee });
    const row = h(
      "li",
      {},
      h("label", { class: "sr", for: picker.id }, `Asset ${count}`),
      picker,
      h("label", { class: "sr", for: amount.id }, `Amount ${count}, negative to take away`),
      amount,
      count > 1 ? h("button", { type: "button", class: "quiet", "aria-label": `Remove asset ${count}`, onclick: () => (row.remove(), foresee(), more.focus()) }, "×") : null,
    );
    rows.append(row);
    return picker;
  }

  function changes() {
    const found = {};
    for (const row of rows.children) {
      const [picker, amount] = row.querySelectorAll("select, input");
      const n = Number(amount.value);
      if (amount.value === "" || n === 0) continue;
      if (!Number.isSafeInteger(n)) throw new Missing("changes", "Amounts are whole numbers.");
      found[picker.value] = (found[picker.value] ?? 0) + n;
    }
    return found;
  }

  /** The amount after it, as far as is known here: production continues meanwhile. */
  function foresee() {
    changesField.refuse("");
    try {
      const told = Object.entries(changes()).map(([name, n]) => `${context.title(name)} ${signed(n)} (now ${number(held(inventory, name))})`);
      setText(outcome, told.join(" · "));
    } catch (error) {
      changesField.refuse(error.message);
    }
  }

  async function act() {
    const body = { changes: changes(), reason: reasonOf(reason) };
    if (Object.keys(body.changes).length === 0) throw new Missing("changes", "Enter how much to change.");
    const made = await command(`${path(account)}/grants`, body);
    const told = Object.entries(made.changes).map(([name, { delta, balance }]) => `${context.title(name)} ${signed(delta)}, now ${number(balance)}`);
    const when = made.earlier ? " earlier, not again now" : "";
    return `Granted to ${account.username}${when}: ${told.join("; ")}.`;
  }

  add();
  const own = { "insufficient-resources": () => "There is less than you would take away." };
  return ask({ title: `Grant to ${account.username}`, content, action: "Grant", act, fields: { reason, changes: changesField }, own });
}

function options(ruleset) {
  const group = (label, items) =>
    items.length === 0 ? null : h("optgroup", { label }, items.map(([value, title]) => h("option", { value }, title)));
  const titled = (items) => Object.entries(items).map(([name, { title }]) => [name, title]);
  const built = (items) =>
    Object.values(items).flatMap(({ title, instances }) =>
      instances.map((address) => [address, address.includes(":") ? `${title} ${address.split(":")[1]}` : title]),
    );
  return [
    group("Resources", titled(ruleset.resources)),
    group("Buildings (levels)", built(ruleset.buildings)),
    group("Research (levels)", titled(ruleset.technologies)),
    group("Units", titled(ruleset.units)),
  ].filter(Boolean);
}

function held(inventory, name) {
  const { resources = {}, buildings = {}, technologies = {}, units = {} } = inventory ?? {};
  return resources[name]?.amount ?? buildings[name] ?? technologies[name] ?? units[name] ?? 0;
}
