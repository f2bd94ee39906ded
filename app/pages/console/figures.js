// Formats measured values.

const FINE = new Intl.NumberFormat("en", { maximumSignificantDigits: 2 });
const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const CLOCK = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

/** A measured value in two or more digits; a dash if there is none. */
export function figure(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  return (size < 10 ? FINE : size < 100_000 ? WHOLE : SHORT).format(value);
}

export const PER_SECOND = { write: figure, unit: "/s" };
export const COUNT = { write: figure, unit: "" };
/** Values in seconds, written in milliseconds. */
export const MILLISECONDS = { write: (value) => (value === null ? "–" : figure(value * 1000)), unit: "ms" };

export const withUnit = ({ write, unit }, value) => (unit && value !== null ? `${write(value)}\u202f${unit}` : write(value));
export const clock = (ms) => CLOCK.format(ms);

/** The smallest of 1, 2, 5, 10, 20, … that is not below a value. */
export function ceiling(value) {
  if (value <= 0) return 1;
  const step = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((n) => n * step).find((n) => n >= value * 0.999999);
}
