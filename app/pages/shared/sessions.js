// The live sessions of an account.

import { h, moment } from "./dom.js";

/** Make a table of sessions; `action` may return a button for each. */
export function sessionTable(sessions, action) {
  const heads = ["Signed in", "Last seen", "Ends", ""].slice(0, action ? 4 : 3);
  const rows = [...sessions].sort((a, b) => b.current - a.current || b.refreshed_at.localeCompare(a.refreshed_at));
  return h(
    "table",
    { class: "list sessions" },
    h("caption", { class: "sr" }, "Live sessions"),
    h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head || h("span", { class: "sr" }, "Action"))))),
    h("tbody", {}, rows.map((row) => line(row, action))),
  );
}

function line(row, action) {
  const at = (label, text, more) => h("td", { "data-label": label }, h("time", { datetime: text }, moment(text)), more);
  const here = row.current ? h("span", { class: "badge" }, "this one") : null;
  return h("tr", {}, at("Signed in", row.created_at, here), at("Last seen", row.refreshed_at), at("Ends", row.expires_at), action ? h("td", { class: "row-act" }, action(row)) : null);
}
