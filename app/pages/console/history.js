// The server's last minutes, derived from counters.

const SPAN_MS = 300_000;
const SPANS_MS = [60_000, 120_000, SPAN_MS];
const WINDOW_MS = 5_000;
/** After this long without an answer, the line is broken. */
const GAP_MS = 8_000;
const READS = new Set(["GET", "HEAD", "OPTIONS"]);

const total = (counts) => Object.values(counts).reduce((sum, n) => sum + n, 0);
const commands = ({ methods }) => total(Object.fromEntries(Object.entries(methods).filter(([name]) => !READS.has(name))));

/** Rates, per second, since the previous answer. */
const RATES = {
  requests: (status) => total(status.http.methods),
  commands: (status) => commands(status.http),
  commits: (status) => status.storage.commits,
  changes: (status) => status.storage.units_committed,
};

/** Levels, as they are. */
const LEVELS = {
  live: (status) => groups(status.actors).reduce((sum, group) => sum + group.live, 0),
  streams: (status) => status.streams.open,
  connections: (status) => status.http.connections.open,
  lag: (status) => status.world.lag_ms / 1000,
};

/** Shares of the values of the last seconds, from histograms. */
const QUANTILES = {
  p50: [(status) => status.http.duration, 0.5],
  p95: [(status) => status.http.duration, 0.95],
  p99: [(status) => status.http.duration, 0.99],
  commitP50: [(status) => status.storage.commit_duration, 0.5],
  commitP95: [(status) => status.storage.commit_duration, 0.95],
};

export function groups(node) {
  return [...(node.group ? [node.group] : []), ...node.children.flatMap(groups)];
}

export class History {
  points = [];
  #statuses = [];

  /** Take a status; return whether the server is another one than before. */
  take(status) {
    const at = Date.parse(status.now);
    const before = this.#statuses.at(-1);
    const restarted = before !== undefined && before.status.started_at !== status.started_at;
    if (restarted) this.#statuses = [];
    this.#statuses.push({ at, status });
    if (!restarted && before) this.#add(before, { at, status });
    else this.#add(null, { at, status });
    while (this.#statuses.length > 2 && this.#statuses[1].at <= at - WINDOW_MS) this.#statuses.shift();
    return restarted;
  }

  /** How far back the charts go: a young history is drawn over less. */
  get spanMs() {
    const age = this.points.length > 1 ? this.points.at(-1).at - this.points[0].at : 0;
    return SPANS_MS.find((span) => age <= span) ?? SPAN_MS;
  }

  #add(before, { at, status }) {
    const seconds = before ? (at - before.at) / 1000 : 0;
    const broken = before === null || seconds > GAP_MS / 1000;
    const start = broken ? before?.status : this.#statuses[0].status;
    const point = { at, broken };
    for (const [name, read] of Object.entries(RATES)) {
      point[name] = seconds > 0 ? Math.max(0, read(status) - read(before.status)) / seconds : null;
    }
    for (const [name, read] of Object.entries(LEVELS)) point[name] = read(status);
    for (const [name, [read, share]] of Object.entries(QUANTILES)) {
      point[name] = start ? quantile(between(read(start), read(status)), share) : null;
    }
    point.batch = start ? mean(start.storage.batch_units, status.storage.batch_units) : null;
    this.points.push(point);
    const oldest = this.points.findIndex((each) => each.at >= at - SPAN_MS);
    this.points.splice(0, oldest);
  }
}

function between(before, after) {
  return { bounds: after.bounds, counts: after.counts.map((n, index) => n - before.counts[index]) };
}

function mean(before, after) {
  const count = after.count - before.count;
  return count > 0 ? (after.sum - before.sum) / count : null;
}

/**
 * The quantile `share`, assuming that the values of a bucket are distributed evenly, like
 * Prometheus' `histogram_quantile`; null if there are none.
 */
export function quantile({ bounds, counts }, share) {
  const rank = share * counts.reduce((sum, n) => sum + n, 0);
  if (rank <= 0) return null;
  let below = 0;
  for (const [index, bound] of bounds.entries()) {
    if (below + counts[index] >= rank) {
      const low = bounds[index - 1] ?? 0;
      return low + (bound - low) * ((rank - below) / counts[index]);
    }
    below += counts[index];
  }
  return bounds.at(-1);
}
