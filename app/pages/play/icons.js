// The sections' icons.

import { glyph } from "../shared/dom.js";

const PATHS = {
  buildings: "M3 17h14M4.5 17V8L10 3.5 15.5 8v9M8 17v-5h4v5",
  technologies: "M8 3h4M8.7 3v5L4 16.5h12L11.3 8V3M6.2 12.5h7.6",
  units: "M10 2.5 16 5v4.5c0 4-2.5 6.5-6 8-3.5-1.5-6-4-6-8V5z",
  transfers: "M3 7h13M12.5 3.5 16 7l-3.5 3.5M17 13H4M7.5 9.5 4 13l3.5 3.5",
  ledger: "M5 3h10v14H5zM8 7h4M8 10h4M8 13h2.5",
};

export const icon = (name) => glyph(PATHS[name]);
