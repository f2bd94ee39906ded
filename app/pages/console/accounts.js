// Searching accounts; each has its own page with the details.

import { call } from "../shared/api.js";
import { h, moment, setAttr, setText } from "../shared/dom.js";
import { explain } from "../shared/problems.js";
import { accountDetail } from "./account.js";

const PAGE = 50;
const PAUSE_MS = 200;

export function accounts(context, [id]) {
  return id ? accountDetail(context, id) : search();
}

// The last search, so that going back from an account returns to it.
const last = { query: "" };

function search() {
  const input = h("input", { id: "query", type: "search", value: last.query, autocomplete: "off", spellcheck: "false", autocapitalize: "none", maxlength: 64, oninput: typed });
  const found = h("p", { class: "hint", role: "status" });
  const alert = h("p", { class: "refusal", role: "alert" });
  const body = h("tbody");
  const more = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => read(next) }, "Show more");
  const heads = ["Name", "Role", "State", "Created"].map((head) => h("th", { scope: "col" }, head));
  const table = h("table", { class: "list accounts" }, h("caption", { class: "sr" }, "Accounts"), h("thead", {}, h("tr", {}, heads)), body);
  const node = h(
    "div",
    { class: "panel" },
    h("div", { class: "field search" }, h("label", { for: "query" }, "Name begins with"), input),
    found,
    alert,
    table,
    more,
  );
  let next = null;
  let reading = new AbortController();
  let timer = 0;

  function typed() {
    last.query = input.value;
    clearTimeout(timer);
    timer = setTimeout(() => read(null), PAUSE_MS);
  }

  /** Read a page; a search that was typed over is aborted. */
  async function read(after) {
    reading.abort();
    reading = new AbortController();
    const { signal } = reading;
    setAttr(table, "aria-busy", "true");
    try {
      const asked = new URLSearchParams({ query: input.value.trim(), limit: PAGE, ...(after ? { after } : {}) });
      const page = await call("GET", `/v1/admin/accounts?${asked}`, { signal });
      if (!after) body.replaceChildren();
      body.append(...page.accounts.map(line));
      next = page.next;
      more.hidden = next === null;
      setText(found, told());
      setText(alert, "");
    } catch (error) {
      if (!signal.aborted) setText(alert, explain(error));
    } finally {
      if (!signal.aborted) setAttr(table, "aria-busy", null);
    }
  }

  function told() {
    const count = body.children.length;
    if (count === 0) return input.value.trim() ? "No name here begins with that." : "There are no accounts yet.";
    return `${count}${next === null ? "" : " and more"} ${count === 1 ? "account" : "accounts"}, by name`;
  }

  function stop() {
    clearTimeout(timer);
    reading.abort();
  }

  return { node, update: () => read(null), stop };
}

function line(account) {
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, h("a", { href: `#/accounts/${account.account_id}` }, account.username)),
    h("td", { class: "role" }, role(account)),
    h("td", { class: "state" }, standing(account)),
    h("td", { class: "at" }, h("time", { datetime: account.created_at }, moment(account.created_at))),
  );
}

export const role = ({ role: name }) =>
  name === "admin" ? h("span", { class: "badge" }, "operator") : h("span", { class: "hint" }, name);

export const standing = ({ suspended }) =>
  suspended ? h("span", { class: "badge bad" }, "suspended") : h("span", { class: "hint" }, "active");
