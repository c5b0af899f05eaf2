/**
 * Which file of the write-ahead log is written, which are full, which are free, and when there has to be another.
 *
 * Approach: a log begins with small files; each new one is twice as large as the last, up to `segmentBytesMax`, so
 * that a node that says little takes little. A file of which little is needed is given back (what is needed goes to
 * the store below) before a new one is made; all together take at most `bytesMax`, or what one commit needs. A file for
 * a commit that is larger than the others is made somewhat larger still, so that it serves the next one; files that
 * are free and too small for it go, before anything that is needed is moved for it.
 * One free file is kept in reserve; only small commits, those that free room, may begin it when there is no other.
 */

import { Segment } from "./segment.ts";
import type { SegmentFiles } from "./segment-file.ts";
import { SEGMENT_HEAD_BYTES, segmentHead } from "./segment-head.ts";
import { aligned } from "./wal-record.ts";

export type RingLimits = {
  /** Of all files together. */
  readonly bytesMax: number;
  readonly segmentBytesMin: number;
  readonly segmentBytesMax: number;
};

/** A full segment whose rows take less than this part of it below is cheaper to give back than to add to. */
const CHEAP_PART = 8;
const RESERVE = 1;
/** Files for large commits are made in steps of this part of the usual size. */
const STEP_PART = 4;

export class SegmentRing {
  readonly #files: SegmentFiles;
  readonly #salt: Uint8Array;
  readonly #limits: RingLimits;
  /** Full ones, oldest first; behind them the one that is written. */
  readonly #live: Segment[];
  readonly #free: Segment[];
  #bytes: number;
  #largest: number;

  constructor(
    files: SegmentFiles,
    salt: Uint8Array,
    found: { readonly live: Segment[]; readonly free: Segment[] },
    limits: RingLimits,
  ) {
    this.#files = files;
    this.#salt = salt;
    this.#limits = limits;
    this.#live = found.live;
    this.#free = found.free;
    const all = [...found.live, ...found.free];
    this.#bytes = all.reduce((sum, { capacity }) => sum + capacity, 0);
    this.#largest = all.reduce((most, { capacity }) => Math.max(most, capacity), 0);
  }

  /** Bytes of all files. */
  get bytes(): number {
    return this.#bytes;
  }

  get active(): Segment | undefined {
    return this.#live.at(-1);
  }

  get oldest(): Segment | undefined {
    return this.#live[0];
  }

  /** Number of the last commit. */
  get last(): number {
    return this.#live.reduce((most, { last }) => Math.max(most, last), 0);
  }

  /** More than the file that is written holds something. */
  get hasFull(): boolean {
    return this.#live.length > 1;
  }

  /** There is a file to begin, and one in reserve. */
  isReadyFor(bytes: number): boolean {
    return this.#free.length > RESERVE && this.#free.some((segment) => segment.hasRoom(bytes));
  }

  /** Begins the next file if one that is free holds so much. A large commit leaves the last one to small ones. */
  begin(bytes: number, isSmall: boolean): Segment | undefined {
    if (!isSmall && this.#free.length <= RESERVE && this.active !== undefined) return undefined;
    const at = this.#free.findIndex((segment) => segment.hasRoom(bytes));
    if (at < 0) return undefined;
    const [segment] = this.#free.splice(at, 1) as [Segment];
    this.#live.push(segment);
    return segment;
  }

  /** The oldest file should be given back rather than another made. */
  shouldFree(bytes: number): boolean {
    const { oldest } = this;
    if (oldest === undefined || !this.hasFull) return false;
    this.#dropUnfit(bytes);
    return oldest.liveBytes * CHEAP_PART <= oldest.capacity || !this.#mayAdd(bytes);
  }

  /** Makes a file that holds so much. @throws the errno error */
  async add(bytes: number): Promise<void> {
    const capacity = this.#sizeFor(bytes);
    const head = segmentHead(capacity, this.#salt);
    const isLarge = capacity > this.#limits.segmentBytesMax;
    const file = await this.#files.create(capacity, head, head.length + (isLarge ? bytes : 0));
    this.#largest = Math.max(this.#largest, Math.min(file.capacity, this.#limits.segmentBytesMax));
    this.#bytes += file.capacity;
    this.#free.push(new Segment(file));
  }

  /** All that is needed of the oldest file is in the store below. One that was made for a single commit goes if it is too much. */
  freeOldest(): void {
    const segment = this.#live.shift() as Segment;
    const { bytesMax, segmentBytesMax } = this.#limits;
    if (segment.capacity > segmentBytesMax && this.#bytes > bytesMax) {
      this.#bytes -= segment.capacity;
      this.#files.remove(segment.file);
      return;
    }
    segment.reset();
    this.#free.push(segment);
  }

  close(): void {
    for (const { file } of [...this.#live, ...this.#free]) file.close();
  }

  /** Before anything was written. */
  remove(): void {
    for (const { file } of this.#free.splice(0)) this.#files.remove(file);
  }

  /** Makes way for a file that holds so much, where that is enough. */
  #dropUnfit(bytes: number): void {
    const unfit = this.#free.filter((segment) => !segment.hasRoom(bytes)).slice(RESERVE);
    const unfitBytes = unfit.reduce((sum, { capacity }) => sum + capacity, 0);
    if (!this.#mayAdd(bytes, unfitBytes)) return;
    for (const segment of unfit) {
      if (this.#mayAdd(bytes)) return;
      this.#free.splice(this.#free.indexOf(segment), 1);
      this.#bytes -= segment.capacity;
      this.#files.remove(segment.file);
    }
  }

  #mayAdd(bytes: number, goneBytes = 0): boolean {
    const used = this.#bytes - goneBytes;
    return used + this.#sizeFor(bytes, used) <= this.#limits.bytesMax;
  }

  #sizeFor(bytes: number, used = this.#bytes): number {
    const { bytesMax, segmentBytesMin, segmentBytesMax } = this.#limits;
    const grown = this.hasFull ? this.#largest * 2 : segmentBytesMin;
    const usual = Math.min(Math.max(grown, segmentBytesMin), segmentBytesMax);
    const needed = SEGMENT_HEAD_BYTES + aligned(bytes);
    if (needed <= usual) return usual;
    const step = Math.min(usual, segmentBytesMax / STEP_PART);
    const roomy = Math.ceil(needed / step) * step;
    return used + roomy <= bytesMax ? roomy : needed;
  }
}
