/**
 * The proof: from what the recorder saw, was anything lost, doubled or out of order?
 *
 * Every event carries a stamp of each handling that led to it since the event before. Only what a handling
 * sent through `ctx` leaves, and only when its settle was accepted, so a stamp that reached the recorder
 * is an accepted handling. Pure: a history in, a verdict out.
 */

/** One accepted handling of one message. */
export type Stamp = {
  /** Whose handling: the service. */
  readonly group: string;
  readonly instance: string;
  /** The message that was handled: subject, key, and where it stands in its producer's journal. */
  readonly subject: string;
  readonly key: string;
  readonly producer: string;
  readonly epoch: number;
  readonly seq: number;
  readonly attempt: number;
  /** The machine's monotonic clock, the same for all its processes. Nanoseconds. */
  readonly atNs: number;
};

/** An event that left a service and reached the recorder. */
export type Effect = {
  readonly orderId: string;
  readonly subject: string;
  /** Handlings that led to it, oldest first; the recorder's own is the last. */
  readonly stamps: readonly Stamp[];
};

export type Verdict = {
  /** Orders that were shipped, and their customer told. */
  readonly completed: number;
  /** Orders that were cancelled, their stock given back, and their customer told. */
  readonly compensated: number;
  /** Effects that should be there and are not. */
  readonly lost: number;
  /** Effects that are there more often than once, or should not be there at all. */
  readonly duplicateEffects: number;
  /** Messages handled after a later one of the same producer and key. */
  readonly outOfOrder: number;
  /** Handlings whose order was judged. */
  readonly handlings: number;
  /** What is wrong, in words; the first `PROBLEMS_MAX`. */
  readonly problems: readonly string[];
};

const PROBLEMS_MAX = 20;
const SHIPPED = [
  "order.placed",
  "stock.reserved",
  "payment.succeeded",
  "shipment.created",
  "customer.notified",
];
const CANCELLED = [
  "order.placed",
  "stock.reserved",
  "payment.failed",
  "stock.released",
  "order.cancelled",
  "customer.notified",
];

export const checkHistory = (orderIds: readonly string[], effects: readonly Effect[]): Verdict => {
  const problems: string[] = [];
  const note = (problem: string): void => {
    if (problems.length < PROBLEMS_MAX) problems.push(problem);
  };
  const counts = countByOrder(effects);
  let completed = 0;
  let compensated = 0;
  let lost = 0;
  let duplicateEffects = 0;
  for (const orderId of orderIds) {
    const seen = counts.get(orderId) ?? new Map<string, number>();
    counts.delete(orderId);
    const isCancelled = seen.has("payment.failed") && !seen.has("payment.succeeded");
    const path = isCancelled ? CANCELLED : SHIPPED;
    const missing = path.filter((subject) => !seen.has(subject));
    lost += missing.length;
    if (missing.length > 0) note(`order ${orderId} lacks ${missing.join(", ")}`);
    else if (isCancelled) compensated++;
    else completed++;
    for (const [subject, count] of seen) {
      const extra = path.includes(subject) ? count - 1 : count;
      duplicateEffects += extra;
      if (extra > 0) note(`order ${orderId} has ${count} x ${subject}, ${extra} too many`);
    }
  }
  for (const [orderId, seen] of counts) {
    for (const count of seen.values()) duplicateEffects += count;
    note(`there is no order ${orderId}, yet it has ${[...seen.keys()].join(", ")}`);
  }
  const { outOfOrder, handlings } = checkOrder(effects, note);
  return { completed, compensated, lost, duplicateEffects, outOfOrder, handlings, problems };
};

const countByOrder = (effects: readonly Effect[]): Map<string, Map<string, number>> => {
  const counts = new Map<string, Map<string, number>>();
  for (const { orderId, subject } of effects) {
    let seen = counts.get(orderId);
    if (seen === undefined) {
      seen = new Map();
      counts.set(orderId, seen);
    }
    seen.set(subject, (seen.get(subject) ?? 0) + 1);
  }
  return counts;
};

/** Of each group, subject, producer and key: in order of position, are the times in order too? */
const checkOrder = (
  effects: readonly Effect[],
  note: (problem: string) => void,
): { outOfOrder: number; handlings: number } => {
  const lines = new Map<string, Map<string, Stamp>>();
  for (const stamp of effects.flatMap((effect) => effect.stamps)) {
    const { group, subject, producer, key, epoch, seq } = stamp;
    const name = JSON.stringify([group, subject, producer, key]);
    const line = lines.get(name) ?? new Map<string, Stamp>();
    lines.set(name, line);
    const position = `${epoch}:${seq}`;
    const before = line.get(position);
    if (before === undefined || stamp.atNs < before.atNs) line.set(position, stamp);
  }
  let outOfOrder = 0;
  let handlings = 0;
  for (const line of lines.values()) {
    const stamps = [...line.values()].sort((a, b) => a.epoch - b.epoch || a.seq - b.seq);
    handlings += stamps.length;
    let latest = stamps[0];
    for (const stamp of stamps) {
      if (latest !== undefined && stamp.atNs < latest.atNs) {
        outOfOrder++;
        note(`${describe(stamp)} was handled before ${describe(latest)}`);
      } else {
        latest = stamp;
      }
    }
  }
  return { outOfOrder, handlings };
};

const describe = ({ group, instance, subject, key, producer, epoch, seq, atNs }: Stamp): string =>
  `${subject} ${producer}/${epoch}:${seq} (key ${key}, group ${group}, by ${instance} at ${atNs})`;
