/**
 * Reads the segments of a write-ahead log when a store is opened.
 *
 * Commits are numbered without a gap, and one is written only after the one before it was synced. So a record
 * behind which another lies is whole, and only the last of all may be torn: it was not acknowledged, and goes.
 * Anything else that is missing is damage, never the end of the log: a number that is skipped, a later record
 * behind one that cannot be read (looked for at every sector of the rest), one that the mark (log-mark.ts) says was
 * synced.
 * Not told apart: a last record that rotted from one that was torn, where the mark does not know it yet.
 */

import { crc32 } from "node:zlib";
import { MeshError } from "../../errors.ts";
import type { Overlay } from "./overlay.ts";
import { Segment } from "./segment.ts";
import type { SegmentFile } from "./segment-file.ts";
import { SEGMENT_HEAD_BYTES, wrongWith } from "./segment-head.ts";
import {
  aligned,
  HEADER_BYTES,
  isWhole,
  RECORD_ALIGN_BYTES,
  type RecordHeader,
  readHeader,
  rowsOf,
} from "./wal-record.ts";
import type { WalRow } from "./wal-row.ts";

const WINDOW_BYTES = 256 * 1024;

export type ReadLog = {
  /** In the order of their commits; the last is the one to go on in. */
  readonly live: Segment[];
  readonly free: Segment[];
  /** Number of the next commit. */
  readonly next: number;
  /**
   * Where a record begins that was not written to its end: to be made unreadable before another has its number,
   * lest what is written there later completes it.
   */
  readonly torn: Slot[];
};

/** A place for a record. */
export type Slot = { readonly segment: Segment; readonly at: number };

type Found = { readonly at: number; readonly head: Uint8Array; readonly header: RecordHeader };

/**
 * Fills the overlay with what is not in the store below. `marked`: up to this commit all was synced, the mark says.
 * @throws MeshError JOURNAL_DAMAGED
 */
export function readLog(
  files: readonly SegmentFile[],
  { salt, moved, synced }: WalRow,
  marked: number,
  overlay: Overlay,
): ReadLog {
  const logs = files.map((file) => new Log(file, salt));
  const live = logs
    .filter(({ first }) => first > moved)
    .sort((one, other) => one.first - other.first);
  let next = moved + 1;
  for (const [index, log] of live.entries()) {
    if (log.first !== next) throw damaged(log.file, 0, `commit ${next} is missing`);
    const isLast = index === live.length - 1;
    next = log.replay(overlay, isLast ? Math.max(synced, marked) : Number.POSITIVE_INFINITY);
  }
  for (const log of logs) log.checkRest(next);
  if (next <= Math.max(synced, marked)) throw endMissing(next, synced, marked);
  return {
    torn: logs
      .filter((log) => log.isTorn(next))
      .map(({ segment }) => ({ segment, at: segment.end })),
    live: live.map(({ segment }) => segment),
    free: logs.filter((log) => !live.includes(log)).map(({ segment }) => segment),
    next,
  };
}

class Log {
  readonly file: SegmentFile;
  readonly segment: Segment;
  /** Number of the first commit, or 0: none. */
  readonly first: number;
  readonly #salt: Uint8Array;
  #window: Uint8Array = new Uint8Array(0);
  #windowAt = 0;

  constructor(file: SegmentFile, salt: Uint8Array) {
    this.file = file;
    this.segment = new Segment(file);
    this.#salt = salt;
    const reason = wrongWith(this.#bytes(0, SEGMENT_HEAD_BYTES), file.capacity, salt);
    if (reason !== undefined) throw damaged(file, 0, reason);
    this.first = this.#recordAt(SEGMENT_HEAD_BYTES)?.header.number ?? 0;
  }

  /** Applies every record, one after `synced` only if it is whole; returns the number of the commit that follows. */
  replay(overlay: Overlay, synced: number): number {
    const { segment } = this;
    let expected = this.first;
    let found = this.#recordAt(SEGMENT_HEAD_BYTES);
    while (found !== undefined && found.header.number === expected) {
      const { at, head, header } = found;
      const end = at + head.length + header.tailBytes;
      const behind = this.#recordAt(aligned(end));
      const wasSynced = expected <= synced || behind?.header.number === expected + 1;
      if (!wasSynced && !this.#hasWholeTail(found)) return expected;
      for (const row of rowsOf(head)) overlay.apply(row, segment, at);
      segment.last = expected;
      segment.end = aligned(end);
      expected += 1;
      found = behind;
    }
    return expected;
  }

  /** Where the next record goes lies the header of one, from `next` on: of this number, but not whole. */
  isTorn(next: number): boolean {
    const header = readHeader(this.#bytes(this.segment.end, HEADER_BYTES), this.#salt);
    return header !== undefined && header.number >= next;
  }

  /** @throws MeshError JOURNAL_DAMAGED where commits from `next` on lie behind a gap */
  checkRest(next: number): void {
    const { capacity } = this.file;
    const from = this.segment.end;
    for (let at = from + RECORD_ALIGN_BYTES; at < capacity; at += RECORD_ALIGN_BYTES) {
      const found = this.#recordAt(at);
      if (found === undefined || found.header.number < next) continue;
      throw damaged(this.file, from, `commit ${found.header.number} follows what cannot be read`);
    }
  }

  #recordAt(at: number): Found | undefined {
    const header = readHeader(this.#bytes(at, HEADER_BYTES), this.#salt);
    if (header === undefined) return undefined;
    const headBytes = HEADER_BYTES + header.rowBytes;
    if (at + headBytes + header.tailBytes > this.file.capacity) return undefined;
    const head = this.#bytes(at, headBytes);
    return isWhole(head, header) ? { at, head, header } : undefined;
  }

  #hasWholeTail({ at, head, header }: Found): boolean {
    if (header.tailFirst) return true;
    const tail = this.file.read(at + head.length, header.tailBytes);
    return tail.length === header.tailBytes && crc32(tail) === header.tailCrc;
  }

  /** A view; shorter where the file ends. */
  #bytes(at: number, bytes: number): Uint8Array {
    const start = at - this.#windowAt;
    if (start < 0 || start + bytes > this.#window.length) {
      this.#window = this.file.read(at, Math.max(bytes, WINDOW_BYTES));
      this.#windowAt = at;
      return this.#window.subarray(0, bytes);
    }
    return this.#window.subarray(start, start + bytes);
  }
}

function endMissing(next: number, synced: number, marked: number): MeshError {
  const reason = `commit ${next} is missing, and ${Math.max(synced, marked)} was synced`;
  const back = "put the log's newest file back, or an older copy of the whole folder";
  // What is in the store below is from before what is missing: a state that the journal had.
  const orGoOn =
    next > synced ? ", or delete journal.wal.mark to go on without what is missing" : "";
  const message = `the journal's log lacks its end: ${reason}: ${back}${orGoOn}`;
  return new MeshError("JOURNAL_DAMAGED", message, { details: { reason } });
}

function damaged(file: SegmentFile, at: number, reason: string): MeshError {
  const { path } = file;
  return new MeshError(
    "JOURNAL_DAMAGED",
    `the journal's log ${path} cannot be read at ${at}: ${reason}`,
    { details: { path, at, reason } },
  );
}
