/** Counts what arrives at one consumer in a round, and which; several are put together by `mergeTallies`. */
import { roundOf, sequenceOf } from "./payload.ts";
import { cpuNs, nowNs } from "./process-time.ts";

/** Order over all messages, over those of one key, or none. */
export type Order = "all" | "key" | "none";

export type TallyReport = {
  readonly received: number;
  /** First arrivals after that of a later message. */
  readonly reordered: number;
  /** Arrivals beyond the first of a message, at this consumer. */
  readonly duplicates: number;
  /** One bit a message: which arrived. */
  readonly seen: string;
  /** Monotonic nanoseconds of the machine at the last arrival. */
  readonly lastNs: number;
  /** Processor time of this process since the round began, all threads. */
  readonly cpuNs: number;
};

export const KEYS = 1_024;
/** How long without an arrival before what is missing counts as lost. */
const QUIET_MS = 4_000;
const LOOK_MS = 250;

export class Tally {
  #round = -1;
  #order: Order = "all";
  #expected = 0;
  #seen = new Uint8Array(0);
  #received = 0;
  #reordered = 0;
  #duplicates = 0;
  #highest = -1;
  readonly #highestOfKey = new Float64Array(KEYS);
  #lastNs = 0;
  #cpuBefore = 0;
  #isNoting = false;
  #whole: () => void = () => {};

  get received(): number {
    return this.#received;
  }

  /** From now on messages 0 to `count` - 1 of this round count; those of others are ignored. */
  begin(round: number, count: number, order: Order): void {
    this.#round = round;
    this.#order = order;
    this.#expected = count;
    this.#seen = new Uint8Array(Math.ceil(count / 8));
    this.#received = 0;
    this.#reordered = 0;
    this.#duplicates = 0;
    this.#highest = -1;
    this.#highestOfKey.fill(-1);
    this.#lastNs = 0;
    this.#cpuBefore = cpuNs();
  }

  arrived(payload: unknown): void {
    const sequence = sequenceOf(payload);
    if (roundOf(payload) !== this.#round || sequence >= this.#expected) return;
    const at = sequence >> 3;
    const bit = 1 << (sequence & 7);
    const seen = this.#seen[at] as number;
    if ((seen & bit) !== 0) {
      this.#duplicates++;
      return;
    }
    this.#seen[at] = seen | bit;
    this.#noteOrder(sequence);
    if (++this.#received === this.#expected) {
      this.#lastNs = nowNs();
      this.#whole();
    } else if (!this.#isNoting) {
      // The clock is read once a turn.
      this.#isNoting = true;
      setImmediate(() => {
        this.#isNoting = false;
        if (this.#received < this.#expected) this.#lastNs = nowNs();
      });
    }
  }

  /** Resolves when the round is whole here, or nothing has arrived for a while. */
  async finish(): Promise<TallyReport> {
    let looker: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#whole = resolve;
      if (this.#received === this.#expected) resolve();
      let before = this.#received;
      let quietMs = 0;
      looker = setInterval(() => {
        quietMs = this.#received === before ? quietMs + LOOK_MS : 0;
        before = this.#received;
        if (quietMs >= QUIET_MS) resolve();
      }, LOOK_MS);
    });
    clearInterval(looker);
    this.#whole = () => {};
    return this.report();
  }

  report(): TallyReport {
    return {
      received: this.#received,
      reordered: this.#reordered,
      duplicates: this.#duplicates,
      seen: Buffer.from(this.#seen).toString("base64"),
      lastNs: this.#lastNs,
      cpuNs: cpuNs() - this.#cpuBefore,
    };
  }

  #noteOrder(sequence: number): void {
    if (this.#order === "none") return;
    if (this.#order === "all") {
      if (sequence > this.#highest) this.#highest = sequence;
      else this.#reordered++;
      return;
    }
    const key = sequence % KEYS;
    if (sequence > (this.#highestOfKey[key] as number)) this.#highestOfKey[key] = sequence;
    else this.#reordered++;
  }
}

export type MergedTally = {
  readonly received: number;
  readonly lost: number;
  readonly reordered: number;
  readonly duplicates: number;
  readonly lastNs: number;
  readonly cpuNs: number;
};

/** Of consumers that share `count` messages: each message should be at one of them. */
export const mergeTallies = (reports: readonly TallyReport[], count: number): MergedTally => {
  const seen = new Uint8Array(Math.ceil(count / 8));
  let repeated = 0;
  for (const report of reports) {
    const theirs = Buffer.from(report.seen, "base64");
    for (const [at, bits] of theirs.entries()) {
      const before = seen[at] as number;
      repeated += bitsIn(before & bits);
      seen[at] = before | bits;
    }
  }
  const received = seen.reduce((sum, bits) => sum + bitsIn(bits), 0);
  const sum = (figure: "reordered" | "duplicates" | "cpuNs"): number =>
    reports.reduce((total, report) => total + report[figure], 0);
  return {
    received,
    lost: count - received,
    reordered: sum("reordered"),
    duplicates: sum("duplicates") + repeated,
    lastNs: Math.max(...reports.map(({ lastNs }) => lastNs)),
    cpuNs: sum("cpuNs"),
  };
};

const bitsIn = (byte: number): number => {
  let count = 0;
  for (let bits = byte; bits !== 0; bits &= bits - 1) count++;
  return count;
};
