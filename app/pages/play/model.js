// The page's state: the rules, the last inventory, and what follows from both by now.

import { titleIn } from "../shared/names.js";

const HOUR_MS = 3_600_000;
const SECTIONS = ["buildings", "technologies", "units"];

export class Model extends EventTarget {
  constructor(world, ruleset) {
    super();
    this.world = world;
    this.ruleset = ruleset;
    this.inventory = null;
    /** Rises with every change beyond mere production: earlier results are then stale. */
    this.epoch = 0;
    this.assets = new Map();
    /** Every order seen, by id: the ledger has only the id. */
    this.orders = new Map();
    for (const section of SECTIONS) {
      for (const asset of Object.values(ruleset[section])) this.assets.set(asset.name, asset);
    }
    this.resourceNames = Object.keys(ruleset.resources);
  }

  /** Take over an inventory from the server; `received` is when, by `performance.now()`. */
  take(inventory, received = performance.now()) {
    const before = this.inventory;
    const told = Date.parse(inventory.at);
    // An answer that a later one has overtaken.
    if (before && (inventory.version < before.version || told < this.told)) return;
    this.inventory = inventory;
    for (const order of inventory.orders) this.orders.set(order.id, order);
    this.told = told;
    this.received = received;
    const print = fingerprint(inventory);
    if (print === this.print) return;
    this.print = print;
    this.epoch += 1;
    const finished = before ? ended(before, inventory, this.told) : [];
    this.dispatchEvent(new CustomEvent("change", { detail: { finished, first: !before } }));
  }

  /** Remember an order received on its own: it may be over before any inventory has it. */
  note(order) {
    const known = this.orders.has(order.id);
    this.orders.set(order.id, order);
    if (!known) this.dispatchEvent(new CustomEvent("change", { detail: { finished: [], first: false } }));
  }

  /** Pass on a transfer from the stream. */
  tell(name, transfer) {
    this.dispatchEvent(new CustomEvent("transfer", { detail: { name, transfer } }));
  }

  /** World time now, in ms: as last received, plus what has passed here since. */
  now() {
    return this.told + performance.now() - this.received;
  }

  /** Milliseconds of world time from now to a moment from the server. */
  until(text) {
    return Date.parse(text) - this.now();
  }

  /** How much of a resource there is now, in whole units; never more than the server counts. */
  amount(name) {
    const { amount, per_hour: rate, capacity, held = 0 } = this.inventory.resources[name];
    const grown = this.#grown(name);
    // Held units flow in as consumption makes room.
    if (rate < 0) return Math.max(0, grown, Math.min(grown + held, capacity ?? amount));
    return capacity === null ? grown : Math.max(amount, Math.min(capacity, grown));
  }

  /** How much of a resource waits for room now, in whole units. */
  held(name) {
    const { per_hour: rate, held = 0 } = this.inventory.resources[name];
    return rate < 0 ? Math.max(0, this.#grown(name) + held - this.amount(name)) : held;
  }

  #grown(name) {
    const { amount, per_hour: rate } = this.inventory.resources[name];
    return Math.floor(amount + (rate * (this.now() - this.told)) / HOUR_MS);
  }

  level(address) {
    const { buildings, technologies } = this.inventory;
    return buildings[address] ?? technologies[address] ?? 0;
  }

  /** The highest level of any instance, or the count of a unit. */
  has(name) {
    const asset = this.assets.get(name);
    if (asset?.kind === "unit") return this.inventory.units[name] ?? 0;
    return Math.max(0, ...(asset?.instances ?? [name]).map((address) => this.level(address)));
  }

  assetOf(address) {
    return this.assets.get(address.split(":")[0]);
  }

  /** How an asset, a resource or an instance is called. */
  title(name) {
    return titleIn(this.ruleset, name);
  }

  ordersOf(queue) {
    return this.inventory.orders.filter((order) => this.assetOf(order.asset)?.queue === queue);
  }

  pending(address) {
    return this.inventory.orders.filter((order) => order.asset === address);
  }

  nextLevel(address) {
    return this.level(address) + this.pending(address).length + 1;
  }

  /** The price of the next level, or of `count` units; null if there is no further level. */
  cost(asset, address, count) {
    if (asset.kind !== "unit") return asset.levels[this.nextLevel(address) - 1]?.cost ?? null;
    return Object.fromEntries(Object.entries(asset.cost).map(([name, n]) => [name, n * count]));
  }

  /** An estimate of how long it takes, until a quote gives the exact time. */
  durationMs(asset, address, count) {
    let seconds = asset.duration_seconds ?? asset.levels[this.nextLevel(address) - 1].duration_seconds;
    for (const other of this.assets.values()) {
      for (const change of other.modifies) {
        if (change.what !== "duration" || !change.assets.includes(asset.name)) continue;
        seconds *= change.factors[Math.min(this.has(other.name), change.factors.length - 1)];
      }
    }
    return seconds * 1000 * (count ?? 1);
  }

  /** What is missing of a price: `{wood: 20}`, empty if it is covered. */
  short(cost) {
    const lacking = Object.entries(cost).map(([name, n]) => [name, n - this.amount(name)]);
    return Object.fromEntries(lacking.filter(([, n]) => n > 0));
  }

  /** In how many ms a price is covered at current rates; Infinity for never. */
  coveredInMs(cost) {
    let longest = 0;
    for (const [name, missing] of Object.entries(this.short(cost))) {
      const { per_hour: rate, capacity } = this.inventory.resources[name];
      if (rate <= 0 || (capacity !== null && cost[name] > capacity)) return Infinity;
      longest = Math.max(longest, (missing * HOUR_MS) / rate);
    }
    return longest;
  }

  /** The largest count of a unit that is affordable now and allowed in one order. */
  affordableCount(asset) {
    const counts = Object.entries(asset.cost).map(([name, n]) => Math.floor(this.amount(name) / n));
    return Math.max(0, Math.min(asset.count_max, ...counts));
  }

  /** Prerequisites, with what is owned of each. */
  needs(asset) {
    return Object.entries(asset.requires).map(([name, level]) => {
      const has = this.has(name);
      return { name, level, has, met: has >= level };
    });
  }
}

function fingerprint(inventory) {
  const { buildings, technologies, units, orders, balances, resources } = inventory;
  const flows = Object.values(resources).map((stock) => [stock.per_hour, stock.capacity]);
  const queue = orders.map((order) => [order.id, order.state, order.level, order.finishes_at]);
  return JSON.stringify([inventory.version, buildings, technologies, units, queue, balances, flows]);
}

/** The orders that were pending before and came due: cancelled ones left before that. */
function ended(before, after, now) {
  const left = new Set(after.orders.map((order) => order.id));
  return before.orders.filter(
    (order) => !left.has(order.id) && order.finishes_at && Date.parse(order.finishes_at) <= now,
  );
}
