// Every change of every asset that the player owns.

import { clockHint } from "../shared/clocks.js";
import { h } from "../shared/dom.js";
import { ledgerTable } from "../shared/ledger.js";
import { orderName } from "./words.js";

export function ledger({ model }) {
  const table = ledgerTable({ path: "/v1/inventory/ledger", title: (name) => model.title(name), subject });
  const clock = clockHint();
  const words = "Every change to what you own, one line each. Adding them up gives your stocks exactly.";
  const node = h("div", { class: "panel" }, h("p", { class: "hint" }, words), clock.node, table.node);

  function subject({ order_id: id }) {
    const order = model.orders.get(id);
    return order ? h("span", { class: "subject" }, orderName(order, model)) : null;
  }

  function update() {
    clock.update(model.now());
    return table.update();
  }

  return { node, update };
}
