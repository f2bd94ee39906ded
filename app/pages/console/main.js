// Opens the console: signing in, or the sections.

import { SignedOut, account, keepSessionAs, resume, signOut, username, whenSessionEnds } from "../shared/api.js";
import { dressHeader, showWho } from "../shared/chrome.js";
import { callOff } from "../shared/dialog.js";
import { h, say } from "../shared/dom.js";
import { passwordForm } from "../shared/password.js";
import { explain } from "../shared/problems.js";
import { Console } from "./console.js";
import { entry } from "./entry.js";

const main = document.getElementById("main");
let open = null;

function showEntry(message = "") {
  open?.stop();
  open = null;
  callOff();
  showWho("");
  document.title = "Sign in · Holdfast console";
  const form = entry({ message, entered });
  main.replaceChildren(h("div", { class: "alone" }, form.node));
  form.focus();
}

/** With a session: show what it may see. */
async function entered() {
  const who = account();
  if (who.role !== "admin") {
    await signOut().catch(() => {});
    showEntry(`${who.username} is not an operator's account. Ask an operator for one, or play at the start page.`);
  } else if (who.must_change_password) showNewPassword();
  else await tryConsole();
}

/** Open the console; on failure retry, without signing in again. */
async function tryConsole() {
  try {
    await showConsole();
  } catch (error) {
    fail(error);
  }
}

/** A one-time password is good only for choosing another. */
function showNewPassword() {
  document.title = "Choose a password · Holdfast console";
  const heading = h("h1", { tabindex: "-1" }, "Choose your own password");
  const words = "The password you signed in with works only once. The console opens as soon as you have one of your own.";
  const form = passwordForm({ heading, words, action: "Change and open the console", changed: tryConsole, wide: true });
  main.replaceChildren(h("div", { class: "alone" }, form.node));
  form.focus();
}

async function showConsole() {
  showWho(username());
  open = new Console(main);
  await open.start();
}

async function begin() {
  try {
    const kept = await resume();
    if (kept === "live") await entered();
    else if (kept === "none") showEntry();
  } catch (error) {
    fail(error);
  }
}

function fail(error) {
  // The session ended meanwhile, and the sign-in page is already shown.
  if (error instanceof SignedOut) return;
  open?.stop();
  open = null;
  showWho("");
  const again = h("button", { type: "button", class: "primary", onclick: begin }, "Try again");
  main.replaceChildren(h("div", { class: "boot" }, h("p", { role: "alert" }, explain(error)), again));
}

function signedOut() {
  showEntry();
  say("You are signed out.");
}

document.getElementById("sign-out").addEventListener("click", async () => {
  open?.stop();
  await signOut().then(signedOut, () => {});
});

dressHeader();
keepSessionAs("holdfast-console");
whenSessionEnds((over) => showEntry(over.message));
begin();
