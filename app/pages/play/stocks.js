// The stocks, extrapolated between updates from the server.

import { duration, h, number, setAttr, setText, short, signed, token } from "../shared/dom.js";

export function stocks({ model }) {
  const rows = [
    ...model.resourceNames.map((name, index) => stock(model, name, index)),
    ...Object.keys(model.ruleset.balances).map((name) => balance(model, name)),
  ];
  const list = h("ul", { class: "stocks", "data-many": rows.length > 5 }, rows.map((row) => row.node));
  const node = h("section", { class: "stock-bar", "aria-label": "Resources" }, list);
  const update = () => rows.forEach((row) => row.update());
  update();
  return { node, update, tick: update };
}

function stock(model, name, index) {
  const { title, description } = model.ruleset.resources[name];
  const amount = h("strong", { class: "amount" });
  const room = h("span", { class: "room" });
  const held = h("span", { class: "held", title: "Waiting for room" });
  const rate = h("span", { class: "rate" });
  const state = h("span", { class: "state" });
  const meter = h("progress", { max: "1", value: "0", "aria-hidden": "true", tabindex: "-1" });
  const node = h(
    "li",
    { class: `stock hue-${index % 8}`, title: description },
    h("span", { class: "label" }, token(index), h("span", {}, title)),
    h("span", { class: "figures" }, amount, room),
    h("span", { class: "trend" }, rate, held, state),
    meter,
  );
  function update() {
    const { per_hour: perHour, capacity } = model.inventory.resources[name];
    const now = model.amount(name);
    const waiting = model.held(name);
    const full = capacity !== null && now >= capacity;
    setText(amount, short(now));
    setAttr(amount, "title", number(now));
    setText(room, capacity === null ? "" : ` / ${short(capacity)}`);
    setText(held, waiting === 0 ? "" : `+${short(waiting)} held`);
    held.hidden = waiting === 0;
    setText(rate, perHour === 0 ? "no income" : `${signed(perHour)}/h`);
    setText(state, full ? "full" : filling(now, perHour, capacity));
    setAttr(node, "data-full", full);
    meter.hidden = capacity === null;
    if (capacity) meter.value = Math.min(1, now / capacity);
  }
  return { node, update };
}

function filling(now, perHour, capacity) {
  if (perHour < 0) return `empty in ${duration((now / -perHour) * 3_600_000)}`;
  if (capacity === null || perHour === 0) return "";
  const left = ((capacity - now) / perHour) * 3_600_000;
  return left < 48 * 3_600_000 ? `full in ${duration(left < 60_000 ? left : Math.ceil(left / 60_000) * 60_000)}` : "";
}

function balance(model, name) {
  const { title, description } = model.ruleset.balances[name];
  const free = h("strong", { class: "amount" });
  const used = h("span", { class: "trend" });
  const meter = h("progress", { max: "1", value: "0", "aria-hidden": "true", tabindex: "-1" });
  const node = h(
    "li",
    { class: "stock balance", title: description },
    h("span", { class: "label" }, h("span", { class: "scales", "aria-hidden": "true" }), h("span", {}, title)),
    h("span", { class: "figures" }, free, h("span", { class: "room" }, " free")),
    used,
    meter,
  );
  function update() {
    const reading = model.inventory.balances[name] ?? { produced: 0, used: 0, factor: 1 };
    const left = reading.produced - reading.used;
    const lack = reading.factor < 1;
    setText(free, left < 0 ? `−${short(-left)}` : short(left));
    const percent = `${Math.round(reading.factor * 100)} % speed`;
    setText(used, `${short(reading.used)} of ${short(reading.produced)} used${lack ? `, ${percent}` : ""}`);
    setAttr(node, "data-short", lack);
    meter.value = reading.produced ? Math.min(1, reading.used / reading.produced) : 0;
  }
  return { node, update };
}
