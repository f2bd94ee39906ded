// One account: its record, what it owns, its ledger and sessions, and what an operator may do.

import { call } from "../shared/api.js";
import { clockHint, onTheWall } from "../shared/clocks.js";
import { h, moment, number, plural, say, setText, signed, token } from "../shared/dom.js";
import { ledgerTable } from "../shared/ledger.js";
import { explain } from "../shared/problems.js";
import { sessionTable } from "../shared/sessions.js";
import { role, standing } from "./accounts.js";
import { endSession, endSessions, grant, setSuspended } from "./actions.js";

const KINDS = { buildings: "Buildings", technologies: "Research", units: "Units" };
const GONE = { "unknown-account": () => "There is no such account (any more)." };

export function accountDetail(context, id) {
  const path = `/v1/admin/accounts/${encodeURIComponent(id)}`;
  const alert = h("p", { class: "refusal", role: "alert" });
  const done = h("p", { class: "done" });
  const back = h("a", { class: "back", href: "#/accounts" }, "← All accounts");
  const head = h("div", { class: "account-head" }, back);
  const record = h("dl", { class: "record" });
  const inventory = h("div", { class: "inventory" }, waiting());
  const sessions = h("div", {}, waiting());
  const clock = clockHint();
  const ledger = ledgerTable({ path: `${path}/ledger`, title: context.title });
  const columns = h(
    "div",
    { class: "detail" },
    panel("record", "Record", record),
    panel("sessions", "Sessions", sessions),
    panel("inventory", "Inventory", inventory),
    panel("ledger", "Ledger", clock.node, ledger.node),
  );
  const node = h("div", { class: "stack" }, head, alert, done, columns);
  let account = null;
  let owned = null;
  let left = false;

  async function update() {
    const reads = [
      call("GET", path).then(showAccount),
      call("GET", `${path}/inventory`).then((told) => (owned = told)),
      call("GET", `${path}/sessions`).then(showSessions),
    ];
    const outcomes = await Promise.allSettled(reads);
    if (left) return;
    if (outcomes[1].status === "fulfilled") showInventory();
    const failed = outcomes.find(({ status }) => status === "rejected");
    setText(alert, failed ? explain(failed.reason, GONE) : "");
    columns.hidden = Boolean(failed) && account === null;
    if (!columns.hidden) await ledger.update();
  }

  function showAccount(told) {
    if (left) return;
    account = told;
    context.rename(account.username);
    const actions = [
      ["Grant…", () => grant(context, account, owned), "primary"],
      account.suspended ? ["Resume…", () => setSuspended(account, false), "quiet"] : ["Suspend…", () => setSuspended(account, true), "danger"],
      ["End sessions…", () => endSessions(account), "quiet"],
    ];
    const buttons = actions.map(([label, act, kind]) => h("button", { type: "button", class: kind, onclick: () => perform(act) }, label));
    head.replaceChildren(
      h("div", { class: "marks" }, back, role(account), standing(account), account.must_change_password ? h("span", { class: "badge warm" }, "must choose a password") : null),
      h("div", { class: "actions" }, ...buttons, h("button", { type: "button", class: "quiet", onclick: update }, "Reload")),
    );
    const rows = {
      Name: account.username,
      Id: h("code", {}, account.account_id),
      Created: moment(account.created_at),
      "Last seen": account.last_seen_at ? moment(account.last_seen_at) : "not signed in",
      Sessions: plural(account.sessions, "live session"),
    };
    record.replaceChildren(...Object.entries(rows).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  }

  /** The world of a suspended account stands still, and says nothing of the clock. */
  function showInventory() {
    const still = Boolean(account?.suspended);
    clock.update(still ? Date.now() : Date.parse(owned.at));
    inventory.replaceChildren(stocks(context, owned), ...holdings(context, owned), orders(context, owned, still));
  }

  function showSessions({ sessions: rows }) {
    const end = (row) => h("button", { type: "button", class: "quiet small", "aria-label": `End the session of ${moment(row.created_at)}`, onclick: () => perform(() => endSession(account, row)) }, "End…");
    sessions.replaceChildren(rows.length > 0 ? sessionTable(rows, end) : h("p", { class: "idle" }, "There is no live session."));
  }

  /** Open a dialog; once its action is done, say so and show what it changed. */
  async function perform(act) {
    const result = await act();
    if (!result) return;
    setText(done, result);
    say(result);
    if (left) return;
    await update();
    head.querySelector("button").focus();
  }

  return { node, update, stop: () => (left = true) };
}

const waiting = () => h("p", { class: "idle" }, "…");

const panel = (id, title, ...content) =>
  h("section", { class: `panel panel-${id}`, "aria-labelledby": `${id}-title` }, h("h2", { id: `${id}-title` }, title), content);

function stocks({ ruleset, title }, { resources, balances }) {
  const names = Object.keys(ruleset.resources);
  const line = (name, stock) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, h("span", { class: "good" }, token(names.indexOf(name)), title(name))),
      h("td", {}, number(stock.amount), stock.held ? ` + ${number(stock.held)} held` : null),
      h("td", {}, `${stock.per_hour === 0 ? 0 : signed(stock.per_hour)}/h`),
      h("td", {}, stock.capacity === null ? "no limit" : number(stock.capacity)),
    );
  const free = (name, { produced, used, factor }) =>
    h("tr", {}, h("th", { scope: "row" }, title(name)), h("td", {}, produced < used ? "−" : "", number(Math.abs(produced - used)), " free"), h("td", {}, `${Math.round(factor * 100)} %`), h("td", {}, `${number(used)} of ${number(produced)}`));
  const heads = ["What", "Amount", "Rate", "Room"].map((head) => h("th", { scope: "col" }, head));
  const rows = [...Object.entries(resources).map((each) => line(...each)), ...Object.entries(balances).map((each) => free(...each))];
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Resources" }, h("table", { class: "figures-table" }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows)));
}

function holdings({ title }, inventory) {
  return Object.entries(KINDS).map(([kind, heading]) => {
    const there = Object.entries(inventory[kind]).filter(([, n]) => n > 0);
    if (there.length === 0) return null;
    const unit = kind === "units" ? "× " : "level ";
    return h("div", { class: "holdings" }, h("h3", {}, heading), h("ul", {}, there.map(([name, n]) => h("li", {}, `${title(name)} `, h("b", {}, `${unit}${number(n)}`)))));
  }).filter(Boolean);
}

function orders({ title }, { at, orders: pending }, still) {
  if (pending.length === 0) return h("p", { class: "idle" }, "No order is under way.");
  const line = (order) => {
    const what = order.count === undefined ? `level ${order.level}` : `× ${number(order.count)}`;
    const until = still ? "stands still" : order.finishes_at ? `until ${moment(onTheWall(order.finishes_at, Date.parse(at)))}` : "waits";
    return h("li", {}, `${title(order.asset)} `, h("b", {}, what), h("span", { class: "hint" }, ` ${until}`));
  };
  return h("div", { class: "holdings" }, h("h3", {}, "Under way"), h("ul", {}, pending.map(line)));
}
