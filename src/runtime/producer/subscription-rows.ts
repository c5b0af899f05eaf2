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
};

export type CursorRow = {
  readonly v: 1;
  readonly floor: Position;
  readonly scanned: Position;
  readonly counted: Position;
  /** Positions after the first up to the second are counted when they are read; absent: none. */
  readonly uncounted?: readonly [Position, Position];
  readonly scannedCount: number;
  /** epoch, seq, attempts, milliseconds to the next try (-1: none, -2: stopped), repeated. */
  readonly open: readonly number[];
  /** Ledger in hexadecimal. */
  readonly ledger: string;
};

/** The row's words for one unsettled message: epoch, seq, attempts, wait. */
export const openWords = (entry: Entry, nowMs: number): readonly number[] => [
  entry.epoch,
  entry.seq,
  entry.attempts,
  waitOf(entry, nowMs),
];

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
  if (row.v !== 1) throw new RangeError(`cursor row of unknown version ${row.v}`);
  return row;
};

export const parseDefinition = (bytes: Uint8Array): Definition =>
  JSON.parse(Buffer.from(bytes).toString()) as Definition;
