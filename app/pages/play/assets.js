// Buildings, technologies or units: available ones first, then those with unmet requirements.

import { arrange, h } from "../shared/dom.js";
import { card } from "./card.js";

export function assets(context, section) {
  const { model } = context;
  const cards = Object.values(model.ruleset[section]).map((asset) => card(context, asset));
  const open = group("At hand", "at-hand");
  const locked = group("Needs something first", "locked");
  const node = h("div", { class: "assets" }, open.node, locked.node);
  const seen = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        cards.find((each) => each.node === target).show(isIntersecting);
      }
    },
    { rootMargin: "100px" },
  );
  cards.forEach((each) => seen.observe(each.node));

  function update() {
    cards.forEach((each) => each.update());
    open.take(cards.filter((each) => !each.locked()));
    locked.take(cards.filter((each) => each.locked()));
  }

  return {
    node,
    update,
    tick: () => cards.forEach((each) => each.tick()),
    stop: () => seen.disconnect(),
  };
}

function group(title, id) {
  const list = h("div", { class: "cards" });
  const node = h("section", { class: "group", "aria-labelledby": id }, h("h2", { id }, title), list);
  return {
    node,
    take(cards) {
      node.hidden = cards.length === 0;
      arrange(list, cards.map((each) => each.node));
    },
  };
}
