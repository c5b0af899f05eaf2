/**
 * What a node's event loop and its heartbeat thread tell each other, in memory that both see.
 *
 * Problem: neither may wait for the other, and a message to a blocked loop is read when it is too late.
 * Approach: cells of 64 bits in a SharedArrayBuffer, written and read whole. The loop writes when it turned;
 * the thread writes, for each peer in a slot of its own, when it was heard and when its loop had turned then.
 *
 * Invariant: the thread writes `turned` before `heard`, the loop reads them the other way round: what it sees of
 * a peer may be newer than the answer it came with, never older. Times are microseconds of the one clock that
 * all threads share.
 */
import type { Pulse } from "../ports/heartbeat.ts";

/** The counters of the thread. */
export const BOARD_COUNTS = [
  "heartbeat.malformed",
  "heartbeat.stranger",
  "heartbeat.forged",
  "heartbeat.stale",
  "heartbeat.sendFailed",
] as const;
export type BoardCount = (typeof BOARD_COUNTS)[number];

const TURNED = 0;
const ANSWERED = 1;
const COUNTS = 2;
const SLOTS = COUNTS + BOARD_COUNTS.length;
const CELLS_PER_SLOT = 2;
const CELL_BYTES = 8;

/** The clock of all threads. */
export const nowUs = (): bigint => process.hrtime.bigint() / 1_000n;

export const boardBuffer = (slots: number): SharedArrayBuffer =>
  new SharedArrayBuffer((SLOTS + slots * CELLS_PER_SLOT) * CELL_BYTES);

export class PulseBoard {
  readonly #cells: BigInt64Array;
  readonly #told = BOARD_COUNTS.map(() => 0n);

  constructor(buffer: SharedArrayBuffer) {
    this.#cells = new BigInt64Array(buffer);
  }

  // --- the event loop ------------------------------------------------------------------------

  /** The loop turns. */
  turn(): void {
    Atomics.store(this.#cells, TURNED, nowUs());
  }

  pulse(slot: number): Pulse | undefined {
    const at = SLOTS + slot * CELLS_PER_SLOT;
    const heardUs = Atomics.load(this.#cells, at);
    const turnedUs = Atomics.load(this.#cells, at + 1);
    if (heardUs === 0n) return undefined;
    return {
      silentMs: Math.max(0, msOf(nowUs() - heardUs)),
      lagMs: Math.max(0, msOf(heardUs - turnedUs)),
    };
  }

  /** Age of the newest question that was answered; Infinity: none. */
  answeredAgeMs(): number {
    const sentUs = Atomics.load(this.#cells, ANSWERED);
    return sentUs === 0n ? Number.POSITIVE_INFINITY : msOf(nowUs() - sentUs);
  }

  /** Tells what was counted since the last call. */
  eachCount(tell: (name: BoardCount, times: number) => void): void {
    for (const [index, name] of BOARD_COUNTS.entries()) {
      const count = Atomics.load(this.#cells, COUNTS + index);
      const more = Number(count - (this.#told[index] ?? 0n));
      this.#told[index] = count;
      if (more > 0) tell(name, more);
    }
  }

  // --- the thread ----------------------------------------------------------------------------

  /** For how long the loop has not turned, beyond the interval at which it says so. */
  lagMs(intervalMs: number): number {
    return Math.max(0, msOf(nowUs() - Atomics.load(this.#cells, TURNED)) - intervalMs);
  }

  heard(slot: number, sentUs: bigint, lagMs: number): void {
    const at = SLOTS + slot * CELLS_PER_SLOT;
    const heardUs = nowUs();
    Atomics.store(this.#cells, at + 1, heardUs - BigInt(lagMs) * 1_000n);
    Atomics.store(this.#cells, at, heardUs);
    if (sentUs > Atomics.load(this.#cells, ANSWERED)) Atomics.store(this.#cells, ANSWERED, sentUs);
  }

  clear(slot: number): void {
    Atomics.store(this.#cells, SLOTS + slot * CELLS_PER_SLOT, 0n);
  }

  count(name: BoardCount): void {
    Atomics.add(this.#cells, COUNTS + BOARD_COUNTS.indexOf(name), 1n);
  }
}

const msOf = (us: bigint): number => Number(us) / 1_000;
