/**
 * The rows of a producer's subscription: its definition and its cursor.
 *
 * The definition row is JSON (rare, readable); the cursor row is JSON as well: a floor, how far the journal
 * was read, and what is unsettled in between. It is written a few dozen times a second at most, so that an
 * ack costs no write of its own; a cursor that is lost with a crash is a redelivery, which inboxes absorb.
 */
import { type Entry, PARKED, STOPPED } from "../../core/entry.ts";
import type { Position } from "../../core/position.ts";
import type { HybridTime } from "../../wire/hybrid-time.ts";

/** What holds for every member; the newest declaration wins. */
export type Definition = {
  readonly id: string;
  readonly role: "events" | "commands";
  /** Empty for a command nobody has claimed yet. */
  readonly group: string;
  readonly pattern: string;
  readonly durable: boolean;
  readonly birthTime: HybridTime;
  readonly birthCreator: string;
  readonly distribution: "key" | "any";
  readonly failoverMove: boolean;
  readonly holdOnDead: boolean;
  readonly filter: readonly { readonly name: string; readonly value: string }[];
  readonly definedTime: HybridTime;
  /** Where it begins at a node that hears of it; rows of the first version lack it: from its birth. */
  readonly start?: "new" | "earliest" | "time";
  readonly startTimeMs?: number;
  /** With keys: whose word this is, one signed entry for all of it or one for each half; base64. */
  readonly signed?: readonly string[];
};

export type CursorRow = {
  /** 1: without runs in `open`. */
  readonly v: 1 | 2;
  readonly floor: Position;
  readonly scanned: Position;
  readonly counted: Position;
  /** Positions after the first up to the second are counted when they are read; absent: none. */
  readonly uncounted?: readonly [Position, Position];
  readonly scannedCount: number;
  /**
   * epoch, seq, attempts, milliseconds to the next try (-1: none, -2: stopped), repeated; negative attempts: so many
   * messages with positions in a row, none of them tried.
   */
  readonly open: readonly number[];
  /** Ledger in hexadecimal. */
  readonly ledger: string;
};

/** The row's words for unsettled messages, in order of position: most were not tried and stand in a row. */
export class OpenWords {
  readonly words: number[] = [];
  readonly #nowMs: number;
  #runEpoch = 0;
  #runFirst = 0;
  #runNext = 0;

  constructor(nowMs: number) {
    this.#nowMs = nowMs;
  }

  add(entry: Entry): void {
    const { epoch, seq, attempts } = entry;
    const wait = waitOf(entry, this.#nowMs);
    if (attempts === 0 && wait === -1) {
      if (seq !== this.#runNext || epoch !== this.#runEpoch) {
        this.#endRun();
        this.#runEpoch = epoch;
        this.#runFirst = seq;
      }
      this.#runNext = seq + 1;
    } else {
      this.#endRun();
      this.words.push(epoch, seq, attempts, wait);
    }
  }

  end(): readonly number[] {
    this.#endRun();
    return this.words;
  }

  #endRun(): void {
    const count = this.#runNext - this.#runFirst;
    if (count > 0) this.words.push(this.#runEpoch, this.#runFirst, -count, -1);
    this.#runFirst = 0;
    this.#runNext = 0;
  }
}

/** Followers of a waiting key are restored behind its head, so only heads need their time. */
const waitOf = (entry: Entry, nowMs: number): number => {
  if (entry.state === STOPPED) return -2;
  if (entry.state !== PARKED) return -1;
  return entry.dueMs < 0 ? -1 : Math.max(0, Math.round(entry.dueMs - nowMs));
};

export const encodeRow = (row: CursorRow | Definition): Uint8Array =>
  Buffer.from(JSON.stringify(row));

export const parseCursorRow = (bytes: Uint8Array): CursorRow => {
  const row = JSON.parse(Buffer.from(bytes).toString()) as CursorRow;
  if (row.v !== 1 && row.v !== 2) throw new RangeError(`cursor row of unknown version ${row.v}`);
  return row;
};

export const parseDefinition = (bytes: Uint8Array): Definition =>
  JSON.parse(Buffer.from(bytes).toString()) as Definition;
