// The frame of every page: the colour scheme, the skip link, the connection.

import { say, setAttr, setText } from "./dom.js";

const LIVE = {
  live: "Live",
  polling: "Connected",
  lost: "Connection lost – trying again",
};
const dark = matchMedia("(prefers-color-scheme: dark)");
const byId = (id) => document.getElementById(id);

/** Make the header work, and make a held key press only once. */
export function dressHeader() {
  // Repeated, Enter would order again, confirm its own question, and keep trying a password.
  document.addEventListener("keydown", (event) => {
    if (event.repeat && event.key === "Enter") event.preventDefault();
  });
  byId("theme").addEventListener("click", () => {
    const next = byId("theme").getAttribute("aria-pressed") === "true" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem("holdfast-theme", next);
    } catch {
      // Storage is switched off: the choice holds until the page is left.
    }
    showTheme();
  });
  dark.addEventListener("change", showTheme);
  showTheme();
  document.querySelector(".skip").addEventListener("click", (event) => {
    // The hash belongs to the sections: move the focus without changing it.
    event.preventDefault();
    (byId("main").querySelector("h1") ?? byId("main")).focus();
  });
}

function showTheme() {
  const chosen = document.documentElement.dataset.theme;
  setAttr(byId("theme"), "aria-pressed", String(chosen ? chosen === "dark" : dark.matches));
}

/** Show the state of the connection: "live", "polling" or "lost". */
export function showLive(state) {
  const live = byId("live");
  live.hidden = false;
  if (live.dataset.state === state) return;
  if (state === "lost") say("The connection is lost. This page keeps trying.");
  else if (live.dataset.state === "lost") say("The connection is back.");
  live.dataset.state = state;
  setText(byId("live-text"), LIVE[state]);
}

/** Show in the header who is signed in; without a name, nobody. */
export function showWho(name) {
  for (const id of ["who", "sign-out"]) byId(id).hidden = !name;
  setText(byId("who-name"), name);
  if (name) return;
  byId("live").hidden = true;
  delete byId("live").dataset.state;
}
