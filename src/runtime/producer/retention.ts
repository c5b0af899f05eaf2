/**
 * What of the log may go: nothing a cursor still needs, nothing so young that a group heard of late may
 * still want it.
 *
 * Approach: samples of (position, time, bytes) along the log, at most one per `SAMPLE_BYTES`; the window of
 * retained samples is cut by age and by bytes. What was in the log at start counts as written then.
 */
import { comparePositions, type Position } from "../../core/position.ts";
import { Ring } from "../../core/ring.ts";
import type { Block } from "../journal/block.ts";

const SAMPLE_BYTES = 64 * 1024;
const SAMPLE_MS = 1_000;

type Sample = { readonly position: Position; readonly atMs: number; readonly bytes: number };

export class Retention {
  readonly #ageMs: number;
  readonly #bytesMax: number;
  readonly #samples = new Ring<Sample>();
  #bytes = 0;
  #openBytes = 0;
  #openSinceMs = 0;
  #cut: Position = { epoch: 0, seq: 0 };

  constructor(
    limits: { ageMs: number; bytesMax: number },
    head: Position | undefined,
    nowMs: number,
  ) {
    this.#ageMs = limits.ageMs;
    this.#bytesMax = limits.bytesMax;
    if (head !== undefined) this.#samples.push({ position: head, atMs: nowMs, bytes: 0 });
  }

  appended(block: Block, nowMs: number): void {
    if (this.#openBytes === 0) this.#openSinceMs = nowMs;
    this.#openBytes += block.bytes.length;
    if (this.#openBytes < SAMPLE_BYTES && nowMs - this.#openSinceMs < SAMPLE_MS) return;
    const position = { epoch: block.epoch, seq: block.lastSeq };
    this.#samples.push({ position, atMs: nowMs, bytes: this.#openBytes });
    this.#bytes += this.#openBytes;
    this.#openBytes = 0;
  }

  /** Everything at or below may go as far as age and size are concerned. */
  cut(nowMs: number): Position {
    for (let first = this.#samples.peek(); first !== undefined; first = this.#samples.peek()) {
      if (nowMs - first.atMs < this.#ageMs && this.#bytes <= this.#bytesMax) break;
      this.#samples.shift();
      this.#bytes -= first.bytes;
      this.#cut = first.position;
    }
    return this.#cut;
  }
}

export const lowest = (positions: Iterable<Position>, start: Position): Position => {
  let low = start;
  for (const position of positions) if (comparePositions(position, low) < 0) low = position;
  return low;
};
