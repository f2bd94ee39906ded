// Opens the world: signing in or the game, and their surroundings.

import { SignedOut, account, ask, resume, signOut, username, whenSessionEnds } from "../shared/api.js";
import { dressHeader, showLive, showWho } from "../shared/chrome.js";
import { callOff } from "../shared/dialog.js";
import { h, say, setText } from "../shared/dom.js";
import { passwordForm } from "../shared/password.js";
import { Game } from "./game.js";
import { gate } from "./gate.js";
import { explain } from "./words.js";

const byId = (id) => document.getElementById(id);
const main = byId("main");

let world = null;
let ruleset = null;
let game = null;

/** Show the gate: signing in for a returning user, otherwise signing up. */
function showGate(message = "", back = message !== "") {
  game?.stop();
  game = null;
  callOff();
  showWho("");
  document.title = `${world.name} · ${ruleset.title}`;
  main.replaceChildren(gate(world, ruleset, { message, mode: back ? "in" : "up", entered }));
  if (back) byId("username").focus();
}

/** With a session: into the game; on failure retry, without signing in again. */
async function entered() {
  try {
    await showGame();
  } catch (error) {
    fail(error);
  }
}

async function showGame() {
  if (account().must_change_password) {
    showNewPassword();
    return;
  }
  showWho(username());
  game = new Game(main, world, ruleset, { report: showLive, left });
  await game.start();
}

/** A one-time password is good only for choosing another. */
function showNewPassword() {
  const heading = h("h1", { tabindex: "-1" }, "Choose your own password");
  const words = "The password you signed in with works only once.";
  const form = passwordForm({ heading, words, action: "Change and begin", changed: entered, wide: true });
  main.replaceChildren(h("div", { class: "alone" }, form.node));
  form.focus();
}

/** The session was ended on purpose: say what was done. */
function left(message) {
  location.hash = "";
  showGate("", true);
  say(message);
}

async function enter() {
  try {
    const kept = await resume();
    if (kept === "live") await entered();
    else if (kept === "none") showGate();
  } catch (error) {
    fail(error);
  }
}

function fail(error) {
  // The session ended meanwhile, and the sign-in page is already shown.
  if (error instanceof SignedOut) return;
  game?.stop();
  game = null;
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

dressHeader();

byId("sign-out").addEventListener("click", async () => {
  game?.stop();
  await signOut().then(() => left("You are signed out."), () => {});
});

whenSessionEnds((over) => showGate(over.message));
open();
