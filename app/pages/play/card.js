// One asset: what it is and does, what the next level costs, and the button that orders it.

import { arrival, command, mayHaveArrived } from "../shared/api.js";
import { duration, glyph, h, number, say, setAttr, setChildren, setText, short, token } from "../shared/dom.js";
import { requiredIn } from "../shared/names.js";
import { effects } from "./effects.js";
import { explain, orderName } from "./words.js";
import { dial, instancePicker, levelTable, stepper } from "./widgets.js";

const STOPWATCH = "M10 4.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13zM10 8v3.5M8 2h4";

export function card(context, asset) {
  const { model, quotes, refresh } = context;
  const isUnit = asset.kind === "unit";
  const addresses = asset.instances ?? [asset.name];
  const several = addresses.length > 1;
  let visible = false;
  let address = addresses[0];
  /** Returns the order of the last press, if its answer was lost, once it was seen to arrive. */
  let lost = null;

  const badge = isUnit ? h("span", { class: "count" }) : dial(asset.max_level);
  const badgeNode = badge.node ?? badge;
  const picker = several ? instancePicker(model, asset, pick) : null;
  const stand = h("p", { class: "stand" });
  const gains = h("ul", { class: "gains" });
  const needs = h("ul", { class: "needs" });
  const prices = h("ul", { class: "prices", "aria-label": "Price" });
  const lasts = h("span", {});
  const time = h("span", { class: "time", title: "How long it takes" }, glyph(STOPWATCH), lasts);
  const when = h("p", { class: "when" });
  const amount = isUnit ? stepper(asset, () => model.affordableCount(asset), changed) : null;
  const verb = h("span", {});
  const button = h("button", { type: "button", class: "primary", onclick: order }, verb);
  const refusal = h("p", { class: "refusal", role: "alert" });
  const offer = h("div", { class: "offer" }, prices, when, h("div", { class: "act" }, amount?.node, button, time));
  const levels = isUnit ? null : levelTable(model, asset, () => model.level(address));
  const node = h(
    "article",
    { class: "card", "data-asset": asset.name, "aria-labelledby": `asset-${asset.name}` },
    h("div", { class: "card-head" }, several ? null : badgeNode, h("div", {}, h("h3", { id: `asset-${asset.name}` }, asset.title), stand)),
    h("p", { class: "about" }, asset.description),
    picker?.node,
    gains,
    needs,
    offer,
    refusal,
    levels,
  );

  const unmet = () => model.needs(asset).filter(({ met }) => !met);
  const locked = () => unmet().length > 0 && addresses.every((each) => model.level(each) === 0 && model.pending(each).length === 0) && !model.inventory.units[asset.name];

  function pick(chosen) {
    address = chosen;
    setText(refusal, "");
    update();
  }

  function changed() {
    setText(refusal, "");
    tick();
  }

  const cost = () => model.cost(asset, address, amount?.value());
  const count = () => (isUnit ? amount.value() : undefined);

  function update() {
    const found = lost?.();
    if (found) placed(found);
    if (picker) address = picker.update(address);
    const level = model.level(address);
    const pending = model.pending(address);
    if (isUnit) {
      const owned = model.inventory.units[asset.name] ?? 0;
      setText(badge, short(owned));
      setAttr(badge, "data-none", owned === 0);
    } else if (!several) badge.update(level, pending[0]);
    setText(stand, standing(level, pending));
    setAttr(node, "data-busy", pending.some((each) => each.state === "running"));
    setAttr(node, "data-locked", locked());
    const next = model.nextLevel(address);
    setChildren(gains, `${address} ${next} ${model.epoch}`, () => effects(model, asset, next));
    const missing = model.needs(asset);
    needs.hidden = unmet().length === 0;
    setChildren(needs, JSON.stringify(missing), () => missing.map(need));
    levels?.update();
    tick();
  }

  function standing(level, pending) {
    const coming = pending.length > 0 ? [`${ordered(pending)} ordered`] : [];
    return [...(isUnit ? owning() : built(level)), ...coming].join(" · ");
  }

  function ordered(pending) {
    if (isUnit) return number(pending.reduce((sum, each) => sum + each.count, 0));
    const [first, last] = [pending[0].level, pending.at(-1).level].sort((a, b) => a - b);
    return first === last ? `level ${first}` : `levels ${first}–${last}`;
  }

  function owning() {
    const owned = model.inventory.units[asset.name] ?? 0;
    return [owned === 0 ? "None yet" : `You have ${number(owned)}`];
  }

  function built(level) {
    const words = level === 0 ? "not built yet" : `level ${level} of ${asset.max_level}`;
    const own = asset.kind === "technology" ? words.replace("built", "known") : words;
    return [several ? `${model.title(address)}: ${own}` : own.charAt(0).toUpperCase() + own.slice(1)];
  }

  function need({ name, level, has, met }) {
    const words = requiredIn(model.ruleset, name, level);
    const mark = h("span", { class: "tick", "aria-hidden": "true" }, met ? "✓" : "○");
    const state = met ? h("span", { class: "sr" }, ", met") : h("span", { class: "has" }, ` now ${number(has)}`);
    return h("li", { "data-met": met }, mark, h("span", {}, words), state);
  }

  function tick() {
    const price = cost();
    const ready = unmet().length === 0;
    offer.hidden = locked();
    if (price === null) {
      finish();
      return;
    }
    for (const part of [button, prices, time]) part.hidden = false;
    const lacking = model.short(price);
    const quote = visible && ready ? quotes.want(address, count()) : null;
    showPrices(price, lacking);
    setText(lasts, duration(quote ? quote.duration_seconds * 1000 : model.durationMs(asset, address, count())));
    setText(verb, isUnit ? "Order" : asset.kind === "technology" ? `Research level ${model.nextLevel(address)}` : `Build level ${model.nextLevel(address)}`);
    setAttr(button, "aria-label", isUnit ? `Order ${number(count())} ${asset.title}` : `${verb.textContent}: ${model.title(address)}`);
    const room = model.ordersOf(asset.queue).length < placesOf(asset.queue);
    const able = ready && room && Object.keys(lacking).length === 0;
    setAttr(button, "data-ready", able);
    setText(when, able ? "" : waiting(ready, room, price, quote));
    when.hidden = when.textContent === "";
    amount?.tick();
  }

  function finish() {
    for (const part of [button, prices, time]) part.hidden = true;
    setText(when, "The highest level is reached or ordered.");
    when.hidden = false;
  }

  function waiting(ready, room, price, quote) {
    if (!ready) return "Needs something first.";
    const estimate = model.coveredInMs(price);
    const at = quote ? (quote.affordable_at === null ? Infinity : Math.max(0, model.until(quote.affordable_at))) : estimate;
    if (estimate > 0) {
      if (at === Infinity) return "Out of reach for now: more income or room is needed.";
      return `Affordable in ${duration(Math.max(at, 1))}`;
    }
    return room ? "" : `${model.ruleset.queues[asset.queue].title}: no free place`;
  }

  const placesOf = (name) => model.ruleset.queues[name].slots + model.ruleset.queues[name].length;

  function showPrices(price, lacking) {
    const key = Object.entries(price).map(([name, n]) => `${name}${n}${name in lacking}`).join();
    setChildren(prices, key, () =>
      Object.entries(price).map(([name, n]) =>
        h(
          "li",
          { class: "price", "data-short": name in lacking, title: model.title(name) },
          token(model.resourceNames.indexOf(name)),
          h("span", { class: "sr" }, `${model.title(name)} `),
          h("span", {}, short(n)),
          name in lacking ? h("span", { class: "sr" }, ", not enough yet") : null,
        ),
      ),
    );
  }

  async function order() {
    if (button.getAttribute("aria-busy") === "true") return;
    setAttr(button, "aria-busy", "true");
    setText(refusal, "");
    lost = null;
    const body = isUnit ? { asset: address, count: count() } : { asset: address };
    const arrived = arrival(model.orders, (each) => each.asset === body.asset && each.count === body.count);
    try {
      placed(await command("/v1/inventory/orders", body, arrived));
      await refresh();
    } catch (error) {
      if (mayHaveArrived(error)) lost = arrived;
      setText(refusal, explain(error, model));
    } finally {
      setAttr(button, "aria-busy", null);
    }
  }

  /** The order is placed: as the server answered, or as it was seen to arrive. */
  function placed({ earlier, ...made }) {
    lost = null;
    setText(refusal, "");
    model.note(made);
    say(`${earlier ? "Ordered earlier, not again now" : "Ordered"}: ${orderName(made, model)}.`);
  }

  return {
    node,
    update,
    locked,
    tick: () => visible && tick(),
    show(shown) {
      visible = shown;
      if (shown) tick();
    },
  };
}
