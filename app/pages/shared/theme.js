// Runs before the page is drawn, so that it never flashes in the other colours.
"use strict";
try {
  const chosen = localStorage.getItem("holdfast-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Storage may be switched off: then the system's choice holds.
}
