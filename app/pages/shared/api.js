// The HTTP API as functions: tokens, refusals, and commands that take effect once.
//
// The tokens are in sessionStorage: they survive a reload, so that a reload does not sign out, but
// end with the tab, are not shared with other tabs (each has its own session, and a refresh token
// works once), and never reach a disk that outlives the browser, as in localStorage. A cookie would
// be sent unasked. The access token is beside the more valuable refresh token: a reloaded page
// continues with it and refreshes nothing. A refresh carries a key that is kept with them: if its
// answer is lost, even by a reload, the same key gets it again.

const TIMEOUT_MS = 15_000;
const ATTEMPTS_MAX = 5;
const TRANSIENT = new Set([502, 503, 504]);

/** A refusal of the server (RFC 9457). */
export class Problem extends Error {
  constructor(status, body, retryAfterMs) {
    super(body.detail || body.title || `The server answered ${status}`);
    this.status = status;
    this.slug = String(body.type ?? "").replace("/problems/", "");
    this.title = body.title ?? "";
    this.body = body;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The server could not be reached, or did not answer in time. */
export class Unreachable extends Error {
  constructor() {
    super("The server cannot be reached. Check the connection and try again.");
  }
}

/** The session is over; the page has returned to signing in. */
export class SignedOut extends Error {
  constructor(message = "Your session has ended. Please sign in again.") {
    super(message);
  }
}

let stored = "holdfast-session";
let session = null;
let refreshing = null;
let renewal = 0;
let onEnd = () => {};

/** Set what is called when a session ends without signing out. */
export function whenSessionEnds(callback) {
  onEnd = callback;
}

/** Keep the session under its own name: in one tab, the game and the console have two. */
export function keepSessionAs(name) {
  stored = name;
}

export const username = () => session?.username ?? "";

/** The account from `GET /v1/accounts/me` when the session began. */
export const account = () => session?.account ?? null;

/** A fresh UUIDv4. `crypto.randomUUID` is there only over HTTPS and on localhost. */
function newKey() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

async function reach(path, { signal, timeout = TIMEOUT_MS, ...init }) {
  const limits = [signal, timeout && AbortSignal.timeout(timeout)].filter(Boolean);
  try {
    return await fetch(path, { ...init, signal: AbortSignal.any(limits), cache: "no-store" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Unreachable();
  }
}

async function problemOf(response) {
  const body = await response.json().catch(() => ({}));
  const seconds = Number(response.headers.get("Retry-After"));
  return new Problem(response.status, body ?? {}, seconds ? seconds * 1000 : undefined);
}

function requestOf(method, { body, key, headers = {} }) {
  const all = { Accept: "application/json", ...headers };
  if (body !== undefined) all["Content-Type"] = "application/json";
  if (key) all["Idempotency-Key"] = key;
  return { method, headers: all, body: body === undefined ? undefined : JSON.stringify(body) };
}

async function answer(response) {
  if (!response.ok) throw await problemOf(response);
  if (response.status === 204) return null;
  try {
    return await response.json();
  } catch {
    throw new Unreachable();
  }
}

/** Make a call that needs no account. */
export async function ask(method, path, options = {}) {
  return answer(await reach(path, { ...requestOf(method, options), signal: options.signal }));
}

/** Send a request in the session `id` only; on a 401 refresh once, then the session is over. */
async function authorized(path, init, { id = session?.id, ...options } = {}) {
  for (let attempt = 0; ; attempt += 1) {
    const token = await accessToken(id);
    init.headers.Authorization = `Bearer ${token}`;
    const response = await reach(path, { ...init, ...options });
    if (response.status !== 401) return response;
    const problem = await problemOf(response);
    // A wrong password in a request's body does not end the session.
    if (problem.slug === "invalid-credentials") throw problem;
    mustGoOn(id);
    if (attempt > 0) throw end();
    await refresh(token);
  }
}

/** Make a call for the account. */
export async function call(method, path, options = {}) {
  const init = requestOf(method, options);
  return answer(await authorized(path, init, { signal: options.signal }));
}

/** Open the stream of events after `lastId`; `signal` ends it. */
export async function openStream(path, lastId, signal) {
  const headers = { Accept: "text/event-stream" };
  if (lastId) headers["Last-Event-ID"] = lastId;
  const response = await authorized(path, { method: "GET", headers }, { signal, timeout: 0 });
  if (!response.ok) throw await problemOf(response);
  return response;
}

/** The unanswered commands, by content: the key and `arrived` of each. */
const unanswered = new Map();

/** After these a key is useless; any other refusal leaves it as it was (docs/api.md). */
const SPENT = new Set(["transfer-returned", "idempotency-key-reused"]);

/**
 * Send a command; it takes effect once. If it is lost on the way, it is sent again with the same key,
 * and after this gives up, the command keeps its key however it is given again, so that it does not
 * take effect twice; `earlier` in the answer says that it had been made before.
 *
 * The answer comes from the server or, if its answers are lost, from `arrived`, which returns what
 * the page has seen of the outcome, if anything. Then the key is forgotten: the same again is a new
 * command.
 */
export async function command(path, body, arrived = () => undefined) {
  const what = JSON.stringify([username(), path, body]);
  const kept = unanswered.get(what);
  const again = kept !== undefined && !kept.arrived();
  const key = again ? kept.key : newKey();
  unanswered.set(what, { key, arrived });
  try {
    const { told, replayed } = await deliver(path, body, key);
    answered(what, key);
    return { ...told, earlier: replayed && again };
  } catch (error) {
    const made = mayHaveArrived(error) ? arrived() : undefined;
    if (made || SPENT.has(error.slug)) answered(what, key);
    if (made) return { ...made, earlier: false };
    throw error;
  }
}

/** Forget the key of a command; the same one may meanwhile have been sent with another key. */
function answered(what, key) {
  if (unanswered.get(what)?.key === key) unanswered.delete(what);
}

/** Whether a command that failed like this may have been made; a conflict is about this very one. */
export const mayHaveArrived = (error) => error.status !== 409;

/** Make the `arrived` of a command: it finds a new match in `seen`, a map by id. */
export function arrival(seen, isLike) {
  const before = new Set(seen.keys());
  return () => [...seen.values()].find((each) => !before.has(each.id) && isLike(each));
}

async function deliver(path, body, key) {
  const id = session?.id;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const response = await authorized(path, requestOf("POST", { body, key }), { id });
      const replayed = response.headers.get("Idempotency-Replayed") === "true";
      return { told: await answer(response), replayed };
    } catch (error) {
      const lost = error instanceof Unreachable || TRANSIENT.has(error.status);
      if (!lost || attempt === ATTEMPTS_MAX) throw error;
      // Not all pages at once.
      const pause = (error.retryAfterMs ?? 300 * 2 ** attempt) * (1 + Math.random() / 2);
      await new Promise((resume) => setTimeout(resume, pause));
    }
  }
}

// --- the session ---------------------------------------------------------------------------

/** Make an account, for signing in afterwards. */
export async function signUp(name, password) {
  await ask("POST", "/v1/accounts", { body: { username: name, password } });
}

export async function signIn(name, password) {
  const tokens = await ask("POST", "/v1/sessions", { body: { username: name, password } });
  begin(tokens, name);
  await learnName();
}

/**
 * Resume the session of this tab: "live" on success, "none" if there is none, and "over" if there
 * was one, which was reported to the callback of `whenSessionEnds`.
 */
export async function resume() {
  const kept = read();
  if (!kept) return "none";
  if (!(await alone(kept.id))) {
    onEnd(new SignedOut("This session goes on in another tab. Please sign in for this one."));
    return "over";
  }
  session = { access: "", expires: 0, ...kept };
  try {
    await learnName();
    renewIn(session.expires - Date.now());
    return "live";
  } catch (error) {
    if (error instanceof SignedOut) return "over";
    throw error;
  }
}

/** Sign out, even if the server cannot be reached. */
export const signOut = () => leave(call("DELETE", "/v1/sessions/current").catch(() => {}));

async function learnName() {
  const { id } = session;
  const told = await call("GET", "/v1/accounts/me");
  mustGoOn(id);
  // A refresh meanwhile has replaced the object.
  session.account = told;
  session.username = session.account.username;
  write();
}

/** Change the password of this account: its other sessions end, this one continues. */
export async function changePassword(current, next) {
  const id = session?.id;
  const body = { current_password: current, new_password: next };
  await call("PUT", "/v1/accounts/me/password", { body });
  if (session?.id === id) session.account = { ...session.account, must_change_password: false };
}

/** Erase this account and everything it owns, for good. */
export const eraseAccount = (password) => leave(call("DELETE", "/v1/accounts/me", { body: { password } }));

/** End every session of this account, including this one. */
export const signOutEverywhere = () => leave(call("DELETE", "/v1/sessions"));

function begin(tokens, name) {
  const life = tokens.expires_in * 1000;
  session = {
    account: session?.id === tokens.session_id ? session.account : null,
    id: tokens.session_id,
    username: name,
    refresh: tokens.refresh_token,
    key: newKey(),
    access: tokens.access_token,
    expires: Date.now() + life,
  };
  write();
  alone(session.id);
  renewIn(life);
}

/** Renew well before `life` is over; if the machine slept meanwhile, the next request does it. */
function renewIn(life) {
  clearTimeout(renewal);
  const wait = Math.max(life - Math.max(30_000, life / 10), life / 2);
  renewal = setTimeout(() => refresh(session?.access).catch(() => {}), Math.min(wait, 2 ** 31 - 1));
}

/** Work begun in a session ends with it, even if somebody has signed in meanwhile. */
function mustGoOn(id) {
  if (!session || session.id !== id) throw new SignedOut();
}

async function accessToken(id) {
  mustGoOn(id);
  if (!session.access || Date.now() > session.expires - 5_000) await refresh(session.access);
  mustGoOn(id);
  return session.access;
}

/** Renew the tokens, unless that has happened since `used` was the access token. */
function refresh(used) {
  if (!session) return Promise.reject(new SignedOut());
  if (used && used !== session.access) return Promise.resolve();
  if (!refreshing) {
    const own = renew().finally(() => {
      if (refreshing === own) refreshing = null;
    });
    refreshing = own;
  }
  return refreshing;
}

async function renew() {
  const { id, username: name, refresh: token, key } = session;
  try {
    const tokens = await ask("POST", "/v1/sessions/refresh", { body: { refresh_token: token }, key });
    mustGoOn(id);
    begin(tokens, name);
  } catch (error) {
    mustGoOn(id);
    if (error instanceof Problem && (error.status === 401 || error.status === 422)) throw end();
    throw error;
  }
}

function end() {
  const had = session !== null;
  forget();
  const over = new SignedOut();
  if (had) onEnd(over);
  return over;
}

/** Forget the session that `told` ends, not one begun since. */
async function leave(told) {
  const id = session?.id;
  await told;
  if (session && session.id !== id) throw new SignedOut();
  forget();
}

function forget() {
  session = null;
  refreshing = null;
  clearTimeout(renewal);
  try {
    sessionStorage.removeItem(stored);
  } catch {
    // Storage is switched off: nothing was kept.
  }
}

function read() {
  try {
    return JSON.parse(sessionStorage.getItem(stored) ?? "null");
  } catch {
    return null;
  }
}

function write() {
  const { account: _, ...kept } = session;
  try {
    sessionStorage.setItem(stored, JSON.stringify(kept));
  } catch {
    // Storage is switched off: a reload signs out.
  }
}

const held = new Set();

/**
 * Whether this tab alone has the session. A duplicated tab starts with a copy of the storage, and
 * using its refresh token a second time would end the session of both: it signs in again.
 */
function alone(id) {
  if (!navigator.locks || held.has(id)) return true;
  return new Promise((resolve) => {
    const hold = () => {
      held.add(id);
      resolve(true);
      return new Promise(() => {});
    };
    // After a reload the page before this one may take a moment to let go.
    const signal = AbortSignal.timeout(1_000);
    navigator.locks.request(`holdfast-${id}`, { signal }, hold).catch(() => resolve(false));
  });
}
