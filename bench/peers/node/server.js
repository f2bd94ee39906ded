// Fastify with pg: a transaction for each order, SELECT ... FOR UPDATE, prepared statements, a pool.
//
// The same tables, tokens and answers as Holdfast's; see bench/peers/market.py for the Python peers.
// Run by bench/contest.py.

import { createHash, randomBytes } from "node:crypto";
import Fastify from "fastify";
import pg from "pg";
import { Tokens } from "./tokens.js";

const GRAINS = 3_600_000;
const CAPACITY = 100_000;
const PER_HOUR = { gold: 0, wood: 60, stone: 30 };
const PRICE = 3;
const DURATION_MS = 86_400_000;

class Refused extends Error {
  constructor(status, reason) {
    super(reason);
    this.statusCode = status;
  }
}

const statement = (name, text) => (values) => ({ name, text, values });
const LOCK = statement(
  "lock", "select version, state from inventories where account_id = $1 for update");
const KEY = statement(
  "key", "select fingerprint, response from idempotency where account_id = $1 and key = $2");
const ADD_ORDER = statement("add-order", `
  insert into orders (order_id, account_id, seq, asset, kind, queue, count, cost, refund,
                      duration_ms, state, placed_ms, version)
  values ($1, $2, $3, $4, 'unit', $5, $6, $7, '[1,1]', $8, 'queued', $9, 1)`);
const ADD_ENTRY = statement("add-entry", `
  insert into ledger (account_id, seq, at_ms, cause, order_id, changes)
  values ($1, $2, $3, 'order-placed', $4, $5)`);
const ADD_KEY = statement("add-key", `
  insert into idempotency (account_id, key, fingerprint, response, at_ms)
  values ($1, $2, $3, $4, $5)`);
const STORE = statement("store", `
  update inventories set version = version + 1, at_ms = $2, ledger_seq = $3, state = $4
  where account_id = $1`);
const INVENTORY = statement(
  "inventory", "select version, state from inventories where account_id = $1");
const PENDING = statement("pending", `
  select order_id, asset, kind, cost, state, placed_ms, starts_ms, finishes_ms, count from orders
  where account_id = $1 and state in ('queued', 'running') order by seq`);

pg.types.setTypeParser(pg.types.builtins.INT8, Number);
const pool = new pg.Pool({
  connectionString: process.env.PEER_DSN,
  host: process.env.PEER_SOCKET_DIR,
  max: Number(process.env.PEER_POOL),
});
const tokens = new Tokens(process.env.PEER_KEY);

function callerOf(request) {
  const header = request.headers.authorization ?? "";
  if (!/^bearer /i.test(header)) throw new Refused(401, "no bearer token");
  const account = tokens.verify(header.slice(7));
  if (account === null) throw new Refused(401, "invalid token");
  return account;
}

function uuid7() {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

const moment = (ms) => (ms === null ? null : new Date(ms).toISOString());

function accrue(state, nowMs) {
  const elapsed = Math.max(0, nowMs - state.at_ms);
  for (const [name, pair] of Object.entries(state.amounts)) {
    const rate = PER_HOUR[name];
    if (rate === 0 || pair[0] >= CAPACITY) continue;
    const grains = Math.min(CAPACITY * GRAINS, pair[0] * GRAINS + pair[1] + rate * elapsed);
    pair[0] = Math.floor(grains / GRAINS);
    pair[1] = grains % GRAINS;
  }
  state.at_ms += elapsed;
}

async function place(client, account, key, { asset, count }) {
  const { rows: [row] } = await client.query(LOCK([account]));
  const digest = createHash("md5").update(`${asset} ${count}`).digest();
  const { rows: [known] } = await client.query(KEY([account, key]));
  if (known !== undefined) {
    if (!digest.equals(known.fingerprint)) throw new Refused(422, "the key was used already");
    return [known.response.order, true];
  }
  const yard = /^cart([1-8])$/.exec(asset);
  if (yard === null) throw new Refused(404, "unknown asset");
  const state = row.state;
  accrue(state, Date.now());
  const price = PRICE * count;
  if (state.amounts.gold[0] < price) throw new Refused(409, "insufficient resources");
  state.amounts.gold[0] -= price;
  state.seq += 1;
  state.order_seq += 1;
  const order = {
    id: uuid7(), asset, kind: "unit", cost: { gold: price }, state: "queued",
    placed_at: moment(state.at_ms), starts_at: null, finishes_at: null, count,
  };
  const at = state.at_ms;
  await client.query(ADD_ORDER([
    order.id, account, state.order_seq, asset, `yard${yard[1]}`, count,
    JSON.stringify(order.cost), DURATION_MS, at]));
  const changes = JSON.stringify({ gold: [-price, state.amounts.gold[0]] });
  await client.query(ADD_ENTRY([account, state.seq, at, order.id, changes]));
  await client.query(ADD_KEY([account, key, digest, JSON.stringify({ order }), at]));
  await client.query(STORE([account, at, state.seq, JSON.stringify(state)]));
  return [order, false];
}

const app = Fastify({
  logger: false,
  // What is not of the type is refused, not converted.
  ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
});

const body = {
  type: "object",
  additionalProperties: false,
  required: ["asset", "count"],
  properties: {
    asset: { type: "string", minLength: 1, maxLength: 200 },
    count: { type: "integer", minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
  },
};

// What is answered, so that Fastify writes it by code made for it instead of by JSON.stringify.
const whole = { type: "integer" };
const text = { type: "string" };
const textOrNull = { type: ["string", "null"] };
const record = (properties) => ({ type: "object", properties });
const nothing = record({});
const shownOrder = record({
  id: text, asset: text, kind: text, cost: record({ gold: whole }), state: text,
  placed_at: text, starts_at: textOrNull, finishes_at: textOrNull, count: whole,
});
const stock = record({
  amount: whole, per_hour: whole, capacity: { type: ["integer", "null"] }, full_at: textOrNull,
});
const shownInventory = record({
  account_id: text, version: whole, at: text, tick: whole,
  resources: record({ gold: stock, wood: stock, stone: stock }),
  balances: nothing, buildings: nothing, technologies: nothing, units: nothing,
  orders: { type: "array", items: shownOrder },
});

const orderSchema = { body, response: { "2xx": shownOrder } };
app.post("/v1/inventory/orders", { schema: orderSchema }, async (request, reply) => {
  const account = callerOf(request);
  const key = request.headers["idempotency-key"];
  if (!key || key.length > 255) throw new Refused(400, "no idempotency key");
  const client = await pool.connect();
  try {
    await client.query("begin");
    const [order, replayed] = await place(client, account, key, request.body);
    await client.query("commit");
    reply.code(replayed ? 200 : 201);
    return order;
  } catch (error) {
    await client.query("rollback");
    throw error;
  } finally {
    client.release();
  }
});

const inventorySchema = { response: { 200: shownInventory } };
app.get("/v1/inventory", { schema: inventorySchema }, async (request) => {
  const account = callerOf(request);
  const { rows: [row] } = await pool.query(INVENTORY([account]));
  const { rows: orders } = await pool.query(PENDING([account]));
  const state = row.state;
  const now = Date.now();
  accrue(state, now);
  const resources = {};
  for (const [name, [whole, rest]] of Object.entries(state.amounts)) {
    const rate = PER_HOUR[name];
    const missing = CAPACITY * GRAINS - whole * GRAINS - rest;
    resources[name] = {
      amount: whole, per_hour: rate, capacity: rate ? CAPACITY : null,
      full_at: rate ? moment(now + Math.floor(missing / rate)) : null,
    };
  }
  return {
    account_id: state.account_id, version: row.version, at: moment(now),
    tick: Math.floor(now / 250), resources, balances: {}, buildings: {}, technologies: {}, units: {},
    orders: orders.map((order) => ({
      id: order.order_id, asset: order.asset, kind: order.kind, cost: order.cost,
      state: order.state, placed_at: moment(order.placed_ms), starts_at: moment(order.starts_ms),
      finishes_at: moment(order.finishes_ms), count: order.count,
    })),
  };
});

await app.listen({ host: "127.0.0.1", port: Number(process.env.PEER_PORT) });
