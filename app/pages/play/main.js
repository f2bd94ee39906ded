// Opens the world: signing in or the game, and what stands around both.

import { ask, resume, signOut, username, whenSessionEnds } from "./api.js";
import { h, say, setAttr, setText } from "./dom.js";
import { Game } from "./game.js";
import { gate } from "./gate.js";
import { explain } from "./words.js";

const byId = (id) => document.getElementById(id);
const main = byId("main");
const LIVE = {
  live: "Live",
  polling: "Connected",
  lost: "Connection lost – trying again",
};

let world = null;
let ruleset = null;
let game = null;

function showLive(state) {
  byId("live").hidden = false;
  if (byId("live").dataset.state === state) return;
  if (state === "lost") say("The connection is lost. This page goes on trying.");
  else if (byId("live").dataset.state === "lost") say("The connection is back.");
  byId("live").dataset.state = state;
  setText(byId("live-text"), LIVE[state]);
}

/** Go to signing in; whoever was in comes back rather than anew. */
function showGate(message = "", back = message !== "") {
  game?.stop();
  game = null;
  for (const id of ["live", "who", "sign-out"]) byId(id).hidden = true;
  delete byId("live").dataset.state;
  document.title = `${world.name} · ${ruleset.title}`;
  main.replaceChildren(gate(world, ruleset, { message, mode: back ? "in" : "up", entered: showGame }));
  if (back) byId("username").focus();
}

async function showGame() {
  byId("who").hidden = byId("sign-out").hidden = false;
  setText(byId("who"), username());
  game = new Game(main, world, ruleset, showLive);
  await game.start();
}

async function enter() {
  try {
    if (await resume()) await showGame();
    else showGate();
  } catch (error) {
    fail(error);
  }
}

function fail(error) {
  const again = h("button", { type: "button", class: "primary", onclick: open }, "Try again");
  const words = h("p", { role: "alert" }, explain(error, { ruleset }));
  main.replaceChildren(h("div", { class: "boot" }, words, again));
}

async function open() {
  try {
    [world, ruleset] = await Promise.all([ask("GET", "/v1/world"), ask("GET", "/v1/ruleset")]);
  } catch (error) {
    fail(error);
    return;
  }
  setText(document.querySelector(".brand-name"), world.name);
  await enter();
}

// --- around it -----------------------------------------------------------------------------

const dark = matchMedia("(prefers-color-scheme: dark)");

function showTheme() {
  const chosen = document.documentElement.dataset.theme;
  setAttr(byId("theme"), "aria-pressed", String(chosen ? chosen === "dark" : dark.matches));
}

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

byId("sign-out").addEventListener("click", async () => {
  game?.stop();
  await signOut().catch(() => {});
  location.hash = "";
  showGate("", true);
  say("You are signed out.");
});

document.querySelector(".skip").addEventListener("click", (event) => {
  // The hash belongs to the sections: move the focus without changing it.
  event.preventDefault();
  (main.querySelector("h1") ?? main).focus();
});

whenSessionEnds((over) => showGate(over.message));
open();
