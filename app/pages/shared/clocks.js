// Two clocks: the world's, which stops whenever the server does, and the wall clock.

import { duration, h, setText } from "./dom.js";

const SAME_MS = 60_000;

/** Convert a moment of world time to wall-clock time; `now` is world time now, in ms. */
export const onTheWall = (text, now) => Date.now() + Date.parse(text) - now;

/** A note beside world times: how far they are from the wall clock, if they are. */
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
