// Running and waiting orders, queue by queue.

import { call } from "../shared/api.js";
import { onTheWall } from "../shared/clocks.js";
import { arrange, duration, h, moment, number, plural, say, setAttr, setText, token } from "../shared/dom.js";
import { explain, orderName } from "./words.js";

// As many as parts.css leaves visible.
const FOLDED_ROWS = 5;

export function queues(context) {
  const parts = Object.values(context.model.ruleset.queues).map((queue) => part(context, queue));
  const title = h("h2", { class: "sr", id: "under-way" }, "Under way");
  const node = h("aside", { class: "queues", "aria-labelledby": "under-way" }, title, parts.map((each) => each.node));
  const update = () => parts.forEach((each) => each.update());
  update();
  return { node, update, tick: () => parts.forEach((each) => each.tick()) };
}

function part(context, queue) {
  const { model } = context;
  const rows = new Map();
  const heading = h("h3", { tabindex: "-1" }, queue.title);
  const places = h("span", { class: "places" });
  const idle = h("p", { class: "idle" }, "Nothing under way.");
  const alert = h("p", { class: "refusal", role: "alert" });
  const list = h("ol", { class: "orders", "data-folded": true });
  const fold = h("button", { type: "button", class: "quiet small fold", "aria-expanded": "false", onclick: unfold });
  const node = h("section", { class: "queue" }, h("header", {}, heading, places), idle, list, fold, alert);

  function update() {
    const orders = model.ordersOf(queue.name);
    for (const id of rows.keys()) {
      if (!orders.some((order) => order.id === id)) drop(id);
    }
    for (const order of orders) {
      if (!rows.has(order.id)) rows.set(order.id, row(context, order, alert));
      rows.get(order.id).update(order);
    }
    const ordered = orders.map((order) => rows.get(order.id).node);
    arrange(list, ordered);
    idle.hidden = orders.length > 0;
    setAttr(node, "data-idle", orders.length === 0);
    fold.hidden = orders.length <= FOLDED_ROWS;
    showFold();
    const total = queue.slots + queue.length;
    setText(places, orders.length ? `${number(orders.length)} of ${plural(total, "place")}` : `${plural(total, "place")} free`);
    if (orders.length === 0) setText(alert, "");
  }

  /** If the queues are above the content, they leave room for it: see `.fold` in parts.css. */
  function unfold() {
    setAttr(list, "data-folded", !list.hasAttribute("data-folded"));
    showFold();
    fold.scrollIntoView({ block: "nearest" });
  }

  function showFold() {
    const folded = list.hasAttribute("data-folded");
    setAttr(fold, "aria-expanded", String(!folded));
    setText(fold, folded ? `Show all ${number(list.children.length)}` : "Show fewer");
  }

  function drop(id) {
    // If the focused element goes, the heading gets the focus.
    const had = rows.get(id).node.contains(document.activeElement);
    rows.delete(id);
    if (had) heading.focus({ preventScroll: true });
  }

  return { node, update, tick: () => rows.forEach((each) => each.tick()) };
}

function row({ model, refresh }, first, alert) {
  let order = first;
  const name = h("span", { class: "order-name" });
  const left = h("span", { class: "order-left" });
  const note = h("span", { class: "order-note" });
  const meter = h("progress", { max: "1", value: "0" });
  const cancel = h("button", { type: "button", class: "quiet small", onclick: ask }, "Cancel");
  const actions = h("div", { class: "order-actions" }, cancel);
  const node = h("li", { class: "order" }, name, left, meter, note, actions);

  function update(latest) {
    order = latest;
    const called = orderName(order, model);
    setText(name, called);
    setAttr(meter, "aria-label", `Progress of ${called}`);
    setAttr(cancel, "aria-label", `Cancel ${called}`);
    setAttr(node, "data-state", order.state);
    meter.hidden = order.state !== "running";
    tick();
  }

  function tick() {
    if (order.state !== "running") {
      setText(left, "waits");
      setText(note, "");
      return;
    }
    const rest = model.until(order.finishes_at);
    const whole = Date.parse(order.finishes_at) - Date.parse(order.starts_at);
    const share = Math.min(1, Math.max(0, 1 - rest / whole));
    meter.value = share;
    setText(left, rest > 0 ? duration(rest) : "finishing");
    const done = order.count > 1 ? `${number(Math.floor(share * order.count))} of ${number(order.count)} done · ` : "";
    setText(note, `${done}until ${moment(onTheWall(order.finishes_at, model.now()))}`);
  }

  function ask() {
    const yes = h("button", { type: "button", class: "danger small", onclick: confirmed }, "Yes, cancel");
    const no = h("button", { type: "button", class: "quiet small", onclick: keep }, "Keep");
    const share = model.assetOf(order.asset)?.refund ?? 0;
    const goods = Object.entries(order.cost).map(([resource, n]) =>
      h("span", { class: "price" }, token(model.resourceNames.indexOf(resource)), h("span", { class: "sr" }, model.title(resource)), number(Math.floor(n * share))),
    );
    const back = share > 0 ? [h("span", {}, "Back: "), ...goods] : ["Nothing comes back."];
    actions.replaceChildren(h("span", { class: "refund" }, back), yes, no);
    setAttr(node, "data-asking", true);
    yes.focus();
  }

  function keep() {
    actions.replaceChildren(cancel);
    setAttr(node, "data-asking", null);
    cancel.focus();
  }

  async function confirmed(event) {
    setAttr(event.target, "aria-busy", "true");
    setText(alert, "");
    try {
      await call("DELETE", `/v1/inventory/orders/${order.id}`);
      say(`Cancelled: ${orderName(order, model)}.`);
    } catch (error) {
      setText(alert, explain(error, model));
      keep();
    }
    await refresh();
  }

  return { node, update, tick };
}
