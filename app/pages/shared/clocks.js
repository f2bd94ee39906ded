// Two clocks: that of the world, which stands still whenever the server does, and that on the wall.

import { duration, h, setText } from "./dom.js";

const SAME_MS = 60_000;

/** When a moment of world time will be by the clock on the wall; `now` is world time now, in ms. */
export const onTheWall = (text, now) => Date.now() + Date.parse(text) - now;

/** A line beside times that the world's clock told: how far from the wall's it is, if it is. */
export function clockHint() {
  const node = h("p", { class: "hint", hidden: true });

  function update(now) {
    const behind = Date.now() - now;
    const apart = `${duration(Math.abs(behind))} ${behind > 0 ? "behind" : "ahead of"} yours`;
    node.hidden = Math.abs(behind) <= SAME_MS;
    setText(node, node.hidden ? "" : `Times here are the world's. Its clock stands still while the server does, and is ${apart}.`);
  }

  return { node, update };
}
