// The sections' icons.

import { glyph } from "../shared/dom.js";

const PATHS = {
  overview: "M3 11.5h3l2-6 3.5 10 2.5-6.5 1 2.5h2",
  accounts: "M7.5 9.5a2.800 2.800 0 1 0 0-5.600 2.800 2.800 0 0 0 0 5.600M2.5 16.5c.3-3 2.200-4.5 5-4.5s4.700 1.5 5 4.5M13 4.300a2.600 2.600 0 0 1 0 5M14.5 12.300c1.700.5 2.800 1.900 3 4.200",
  audit: "M5 3h10v14H5zM8 7h4M8 10h4M8 13h2.5",
  rules: "M3 16.5h14M3 16.5v-13M5.5 14c5-.5 8-3.5 10.5-10",
  events: "M3 5h3M9 5h8M3 10h3M9 10h5M3 15h3M9 15h7",
};

export const icon = (name) => glyph(PATHS[name]);
