// The parts of the server, each under its supervisor.

import { arrange, duration, h, number, plural, setAttr, setText } from "../shared/dom.js";
import { figure } from "./figures.js";
import { quantile } from "./history.js";

const STATES = {
  ready: ["plain", "●", "ready"],
  starting: ["warm", "◐", "starting"],
  restarting: ["warm", "◐", "restarting"],
  stopped: ["bad", "■", "stopped"],
  failed: ["bad", "▲", "failed"],
};
const HEADS = ["Part", "State", "Restarts", "Mailbox", "In flight", "Answers in p95", "Since"];

export function tree() {
  const body = h("tbody");
  const heads = HEADS.map((title, index) => h("th", { scope: "col", class: index > 1 ? "figure" : null }, title));
  const table = h("table", { class: "tree" }, h("caption", { class: "sr" }, "Parts of the server, each below its supervisor"), h("thead", {}, h("tr", {}, heads)), body);
  const node = h("section", { class: "block", "aria-labelledby": "tree" }, h("div", { class: "block-head" }, h("h2", { id: "tree" }, "Parts")), h("div", { class: "panel" }, table));
  const rows = new Map();

  function update(status) {
    const seen = [];
    const walk = (part, depth, parent, path) => {
      if (!rows.has(path)) rows.set(path, row(part, depth, parent));
      rows.get(path).update(part, status);
      seen.push(path);
      part.children.forEach((child) => walk(child, depth + 1, part.name, `${path}/${child.name}`));
    };
    walk(status.actors, 0, null, status.actors.name);
    arrange(body, seen.map((path) => rows.get(path).node));
  }

  return { node, update };
}

function row(part, depth, parent) {
  const state = h("span", { class: "badge" });
  const failure = h("span", { class: "failure" });
  const restarts = h("td", { class: "figure", "data-label": "restarts" });
  const waiting = h("span", {});
  const peak = h("span", { class: "hint" });
  const meter = h("progress", { max: 1, value: 0, "aria-hidden": "true" });
  const inHand = h("td", { class: "figure", "data-label": "in flight" });
  const answers = h("td", { class: "figure", "data-label": "p95" });
  const since = h("td", { class: "figure since" });
  const group = h("span", { class: "hint group" });
  const name = h("th", { scope: "row", class: `depth-${Math.min(depth, 3)}` }, h("span", { class: "part" }, part.name), parent ? h("span", { class: "sr" }, `, under ${parent}`) : null, group, failure);
  const mailbox = h("td", { class: "figure mailbox", "data-label": "mailbox" }, h("span", { class: "mailbox-line" }, waiting, peak), meter);
  const node = h("tr", {}, name, h("td", { class: "state" }, state), restarts, mailbox, inHand, answers, since);

  function update(now, status) {
    const [kind, sign, word] = STATES[now.state] ?? ["plain", "○", now.state];
    setAttr(state, "class", `badge ${kind}`);
    setAttr(state, "data-state", now.state);
    setText(state, `${sign} ${word}`);
    setText(restarts, number(now.restarts));
    setAttr(restarts, "data-some", now.restarts > 0);
    setText(failure, now.failure ? `last failed with ${now.failure}` : "");
    setText(group, now.group ? `${plural(now.group.live, "live account")} of at most ${number(now.group.live_max)}, ${number(now.group.activations)} activated since the start` : "");
    showMailbox(now.mailbox);
    const replies = status.replies[now.name];
    const p95 = replies ? quantile(replies, 0.95) : null;
    setText(answers, p95 === null ? "" : `${figure(p95 * 1000)} ms`);
    setText(since, duration(Math.max(0, Date.parse(status.now) - Date.parse(now.since))));
  }

  function showMailbox(box) {
    meter.hidden = !box;
    setText(inHand, box ? number(box.in_hand) : "");
    setText(waiting, box ? `${number(box.waiting)} of ${number(box.capacity)}` : "");
    setText(peak, box ? `peak ${number(box.peak)}` : "");
    if (box) meter.value = Math.min(1, box.waiting / box.capacity);
  }

  return { node, update };
}
