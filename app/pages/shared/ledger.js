// Every change of every asset, latest first.

import { call } from "./api.js";
import { h, moment, number, setText, signed } from "./dom.js";
import { explain } from "./problems.js";

const PAGE = 40;
const NEW_PAGE = 100;
const NEW_PAGES_MAX = 5;

const CAUSES = {
  start: "A new beginning",
  production: "Production",
  "order-placed": "Ordered",
  "order-started": "Started",
  "order-completed": "Completed",
  "unit-completed": "Delivered",
  "order-cancelled": "Cancelled",
  "transfer-sent": "Sent",
  "transfer-received": "Received",
  "transfer-returned": "Came back",
  "held-released": "Found room",
  spilled: "No room left",
  grant: "Granted by an operator",
  "ruleset-changed": "The rules changed",
};

/** The reason for a ledger entry. */
function cause(name) {
  return CAUSES[name] ?? name.charAt(0).toUpperCase() + name.slice(1).replaceAll("-", " ");
}

/** Find the number of the last entry: leap ahead, then halve; the ledger is read forwards only. */
async function last(read) {
  const beyond = async (seq) => (await read(seq, 1)).entries.length === 0;
  let high = PAGE;
  while (!(await beyond(high))) high *= 4;
  let low = high === PAGE ? 0 : high / 4;
  while (high - low > PAGE) {
    const middle = Math.floor((low + high) / 2);
    if (await beyond(middle)) high = middle;
    else low = middle;
  }
  const { entries } = await read(low, PAGE + 1);
  return entries.at(-1)?.seq ?? low;
}

/**
 * Make the ledger that is read from `path`. `title` names an asset, `subject` adds to an entry;
 * `update` reads what is new.
 */
export function ledgerTable({ path, title, subject = () => null }) {
  const read = (after, limit) => call("GET", `${path}?after=${after}&limit=${limit}`);
  const body = h("tbody");
  const alert = h("p", { class: "refusal", role: "alert" });
  const earlier = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => attempt(back) }, "Show earlier entries");
  const columns = ["No.", "When", "What", "Changes"].map((title) => h("th", { scope: "col" }, title));
  const table = h("table", { class: "ledger" }, h("caption", { class: "sr" }, "Ledger, the latest entry first"), h("thead", {}, h("tr", {}, columns)), body);
  const node = h("div", { class: "ledger-box" }, table, alert, earlier);
  let first = 0;
  let latest = 0;
  let busy = Promise.resolve();

  /** Reads run one after another. */
  function attempt(task) {
    busy = busy.then(task).catch((error) => setText(alert, explain(error)));
    return busy;
  }

  async function start() {
    latest = 0;
    const end = await last(read);
    first = end + 1;
    body.replaceChildren();
    await back();
    latest = end;
  }

  async function back() {
    const after = Math.max(0, first - 1 - PAGE);
    const { entries } = await read(after, first - 1 - after || 1);
    body.append(...entries.filter((entry) => entry.seq < first).reverse().map(line));
    first = after + 1;
    earlier.hidden = after === 0;
    setText(alert, "");
  }

  /** Read what is new, to its end; if that is far, restart from there. */
  async function forward() {
    for (let pages = 0; pages < NEW_PAGES_MAX; pages += 1) {
      const { entries, next } = await read(latest, NEW_PAGE);
      latest = entries.at(-1)?.seq ?? latest;
      body.prepend(...entries.reverse().map(line));
      setText(alert, "");
      if (next === null) return;
    }
    await start();
  }

  function line(entry) {
    const changes = Object.entries(entry.changes).map(([name, { delta, balance }]) =>
      h("li", { "data-less": delta < 0 }, h("span", {}, `${title(name)} `), h("b", {}, signed(delta)), h("span", { class: "balance-after" }, ` → ${number(balance)}`)),
    );
    return h(
      "tr",
      {},
      h("td", { class: "seq" }, number(entry.seq)),
      h("td", { class: "at" }, h("time", { datetime: entry.at }, moment(entry.at))),
      h("td", { class: "cause" }, cause(entry.cause), subject(entry)),
      h("td", { class: "changes" }, h("ul", {}, changes)),
    );
  }

  return { node, update: () => attempt(latest === 0 ? start : forward) };
}
