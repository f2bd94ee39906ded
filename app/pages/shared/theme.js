// Runs before the page is drawn, so that it never flashes in the wrong colours.
"use strict";
try {
  const chosen = localStorage.getItem("holdfast-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Storage may be disabled: then the system's choice applies.
}
