// What operators did, to whom and why; latest first.

import { call } from "../shared/api.js";
import { h, moment, number, setText, signed } from "../shared/dom.js";
import { explain } from "../shared/problems.js";

const PAGE = 50;

const ACTIONS = {
  "account-created": "Created the account",
  "role-set": "Set the role",
  "account-suspended": "Suspended",
  "account-unsuspended": "Resumed",
  "sessions-ended": "Ended sessions",
  "assets-granted": "Granted",
};
const words = (action) => ACTIONS[action] ?? action.charAt(0).toUpperCase() + action.slice(1).replaceAll("-", " ");

export function audit(context) {
  const alert = h("p", { class: "refusal", role: "alert" });
  const body = h("tbody");
  const older = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => read(next) }, "Show older entries");
  const again = h("button", { type: "button", class: "quiet small", onclick: () => read(null) }, "Reload");
  const empty = h("p", { class: "idle", hidden: true }, "No operator has done anything yet.");
  const heads = ["When", "Operator", "What", "Account", "Reason", "Detail"].map((head) => h("th", { scope: "col" }, head));
  const table = h("table", { class: "list audit" }, h("caption", { class: "sr" }, "Audit log, the latest entry first"), h("thead", {}, h("tr", {}, heads)), body);
  const about = h("p", { class: "hint" }, "Everything that operators did, here or on the command line. Nobody can change or remove an entry.");
  const node = h("div", { class: "panel" }, h("div", { class: "panel-head" }, about, again), empty, table, alert, older);
  let next = null;
  let reading = new AbortController();

  /** Read a page; an earlier request is aborted, so that none is shown twice. */
  async function read(before) {
    reading.abort();
    reading = new AbortController();
    const { signal } = reading;
    try {
      const asked = new URLSearchParams({ limit: PAGE, ...(before ? { before } : {}) });
      const page = await call("GET", `/v1/admin/audit?${asked}`, { signal });
      if (!before) body.replaceChildren();
      body.append(...page.entries.map((entry) => line(context, entry)));
      next = page.next;
      older.hidden = next === null;
      empty.hidden = body.children.length > 0;
      setText(alert, "");
    } catch (error) {
      if (!signal.aborted) setText(alert, explain(error));
    }
  }

  return { node, update: () => read(null), stop: () => reading.abort() };
}

function line(context, entry) {
  const account = entry.username
    ? h("a", { href: `#/accounts/${entry.account_id}` }, entry.username)
    : h("span", { class: "hint" }, entry.action === "world-reset" ? "–" : "erased since");
  return h(
    "tr",
    {},
    h("td", { class: "at" }, h("time", { datetime: entry.at }, moment(entry.at))),
    h("td", { class: "by" }, entry.actor),
    h("th", { scope: "row", class: "what" }, words(entry.action)),
    h("td", { class: "whom" }, account),
    h("td", { class: "why" }, entry.reason),
    h("td", { class: "more" }, detail(context, entry)),
  );
}

function detail({ title }, { action, detail: told }) {
  if (action === "assets-granted") {
    const changes = Object.entries(told).map(([name, { delta, balance }]) =>
      h("li", { "data-less": delta < 0 }, `${title(name)} `, h("b", {}, signed(delta)), h("span", { class: "balance-after" }, ` → ${number(balance)}`)),
    );
    return h("div", { class: "changes" }, h("ul", {}, changes));
  }
  const parts = Object.entries(told).map(([name, value]) => `${name.replaceAll("_", " ")} ${typeof value === "object" ? JSON.stringify(value) : value}`);
  return h("span", { class: "hint" }, parts.join(", "));
}
