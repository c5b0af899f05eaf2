/**
 * What of the log may go: nothing a cursor still needs, nothing so young that a group heard of late may
 * still want it.
 *
 * Approach: samples of (position, time, bytes) along the log, at most one per `SAMPLE_BYTES`; the window of
 * retained samples is cut by age and by bytes. What was in the log at start counts as written then, and with
 * its bytes; where these are too many it is cut block by block, no further than cursors allow, so that no more
 * is read than may go.
 *
 * Bound: `WALK_MAX` blocks are read at once.
 */
import { comparePositions, type Position } from "../../core/position.ts";
import { Ring } from "../../core/ring.ts";
import type { Block } from "../journal/block.ts";

const SAMPLE_BYTES = 64 * 1024;
const SAMPLE_MS = 1_000;
const WALK_MAX = 4_096;
/** Of a fast producer: its disk should not hold a second's worth of what nobody needs. */
const CUT_BYTES = 16 * 1024 * 1024;

type Sample = { readonly position: Position; readonly atMs: number; readonly bytes: number };

/** The log, as far as retention is concerned. */
export type RetainedLog = {
  readonly head: Position | undefined;
  readonly logBytes: number;
  read(after: Position): Block | undefined;
};

export class Retention {
  readonly #ageMs: number;
  readonly #bytesMax: number;
  readonly #log: RetainedLog;
  readonly #samples = new Ring<Sample>();
  /** The end of what was in the log at start, until that is cut. */
  #old: Position | undefined;
  /** Bytes of it that are not cut. */
  #oldBytes = 0;
  /** All bytes that are not cut. */
  #bytes = 0;
  #openBytes = 0;
  #openSinceMs = 0;
  #uncutBytes = 0;
  #cut: Position = { epoch: 0, seq: 0 };

  constructor(limits: { ageMs: number; bytesMax: number }, log: RetainedLog, nowMs: number) {
    this.#ageMs = limits.ageMs;
    this.#bytesMax = limits.bytesMax;
    this.#log = log;
    this.#old = log.head;
    if (log.head === undefined) return;
    this.#oldBytes = log.logBytes;
    this.#bytes = log.logBytes;
    this.#samples.push({ position: log.head, atMs: nowMs, bytes: 0 });
  }

  /** True: so much has come since the last cut that another is worth its while. */
  appended(block: Block, nowMs: number): boolean {
    if (this.#openBytes === 0) this.#openSinceMs = nowMs;
    this.#openBytes += block.bytes.length;
    this.#uncutBytes += block.bytes.length;
    const isDue = this.#uncutBytes >= CUT_BYTES;
    if (this.#openBytes < SAMPLE_BYTES && nowMs - this.#openSinceMs < SAMPLE_MS) return isDue;
    const position = { epoch: block.epoch, seq: block.lastSeq };
    this.#samples.push({ position, atMs: nowMs, bytes: this.#openBytes });
    this.#bytes += this.#openBytes;
    this.#openBytes = 0;
    return isDue;
  }

  /**
   * Everything at or below may go as far as age and size are concerned. Nobody needs what is at or below
   * `unneeded`.
   */
  cut(nowMs: number, unneeded: Position): Position {
    this.#uncutBytes = 0;
    for (let first = this.#samples.peek(); first !== undefined; first = this.#samples.peek()) {
      const isOld = nowMs - first.atMs >= this.#ageMs;
      if (!isOld && this.#bytes <= this.#bytesMax) break;
      if (!isOld && this.#old !== undefined && !this.#walk(this.#old, unneeded)) break;
      this.#samples.shift();
      this.#bytes -= first.bytes + this.#oldBytes;
      this.#oldBytes = 0;
      this.#old = undefined;
      this.#cut = first.position;
    }
    return this.#cut;
  }

  /** Cuts blocks of what was there at start; true when all of it is cut. */
  #walk(end: Position, unneeded: Position): boolean {
    for (let blocks = 0; blocks < WALK_MAX && this.#bytes > this.#bytesMax; blocks++) {
      const block = this.#log.read(this.#cut);
      if (block === undefined) return false; // damaged, and to be looked at again
      const last = { epoch: block.epoch, seq: block.lastSeq };
      if (comparePositions(last, end) >= 0) return true;
      if (comparePositions(last, unneeded) > 0) return false;
      this.#cut = last;
      this.#oldBytes -= block.bytes.length;
      this.#bytes -= block.bytes.length;
    }
    return false;
  }
}

export const lowest = (positions: Iterable<Position>, start: Position): Position => {
  let low = start;
  for (const position of positions) if (comparePositions(position, low) < 0) low = position;
  return low;
};
