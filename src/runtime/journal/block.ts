/**
 * A journal block, opened: many messages of one epoch, in order, encoded once.
 *
 * Problem: the producer pump walks every message for every subscription and sends its envelope as it
 * lies; a stored block may be damaged in any byte. Approach: `open` checks the checksum and the shape
 * once; after that each field of each record is one read at a computed place (format: block-format.ts).
 *
 * Invariants: an open block is whole: every record has an envelope inside the block, a subject and a
 * target that exist, and a position. `seq(i) = firstSeq + i`. The bytes never change.
 */
import type { Position } from "../../core/position.ts";
import {
  AT,
  BLOCK_MAGIC,
  BLOCK_RECORDS_MAX,
  BLOCK_VERSION,
  CRC_FROM,
  type Crc32,
  columnBytes,
  FLAG_EXPIRY,
  FLAG_TARGETS,
  getTimeCounter,
  getTimeMs,
  getUint53,
  HEADER_BYTES,
  HEADER_CRC_FROM,
  NO_TARGET,
  RECORD_HAS_KEY,
} from "./block-format.ts";

export type BlockSubject = { readonly kind: 0 | 1; readonly subject: string };

/** Why bytes are not a block. */
export class BlockDamage extends Error {
  override readonly name = "BlockDamage";
}

/** What an intact header says, whatever the rest. */
export type BlockHeader = { readonly epoch: number; readonly firstSeq: number; lastSeq: number };

export class Block {
  readonly bytes: Uint8Array;
  readonly epoch: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly count: number;
  /** Earliest and latest hybrid time of its records. */
  readonly firstTimeMs: number;
  readonly firstTimeCounter: number;
  readonly lastTimeMs: number;
  readonly lastTimeCounter: number;
  readonly subjects: readonly BlockSubject[];
  readonly #targets: readonly string[];
  readonly #view: DataView;
  readonly #ends: number;
  readonly #keys: number;
  readonly #subjects: number;
  readonly #flags: number;
  /** -1: the block has no such column. */
  readonly #expiry: number;
  readonly #targetColumn: number;

  /** Bytes known to be whole: from the builder, or after `open` checked them. @throws BlockDamage */
  constructor(bytes: Uint8Array) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const flags = view.getUint16(AT.flags, true);
    const count = view.getUint32(AT.count, true);
    const columns = view.getUint32(AT.columns, true);
    this.bytes = bytes;
    this.#view = view;
    this.epoch = view.getUint32(AT.epoch, true);
    this.firstSeq = getUint53(view, AT.firstSeq);
    this.lastSeq = this.firstSeq + count - 1;
    this.count = count;
    this.firstTimeMs = getTimeMs(view, AT.firstTime);
    this.firstTimeCounter = getTimeCounter(view, AT.firstTime);
    this.lastTimeMs = getTimeMs(view, AT.lastTime);
    this.lastTimeCounter = getTimeCounter(view, AT.lastTime);
    this.#ends = columns;
    this.#keys = columns + count * 4;
    this.#subjects = columns + count * 8;
    this.#flags = columns + count * 10;
    const expires = (flags & FLAG_EXPIRY) !== 0;
    this.#expiry = expires ? columns + count * 11 : -1;
    this.#targetColumn = (flags & FLAG_TARGETS) !== 0 ? columns + count * (expires ? 19 : 11) : -1;
    const tables = columns + count * columnBytes(flags);
    if (columns < HEADER_BYTES || tables > bytes.length) throw new BlockDamage("columns misplaced");
    const reader = new TableReader(bytes, view, tables);
    this.subjects = reader.subjects(view.getUint16(AT.subjects, true));
    this.#targets = reader.texts(view.getUint16(AT.targets, true));
    if (reader.at !== bytes.length) throw new BlockDamage("bytes after the last table");
  }

  /** Checks everything. @throws BlockDamage when any byte is not as it was written */
  static open(bytes: Uint8Array, crc32: Crc32): Block {
    if (bytes.length < HEADER_BYTES) throw new BlockDamage(`only ${bytes.length} B`);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (view.getUint32(AT.magic, true) !== BLOCK_MAGIC) throw new BlockDamage("wrong magic");
    if (view.getUint32(AT.crc, true) !== crc32(bytes.subarray(CRC_FROM))) {
      throw new BlockDamage("wrong checksum");
    }
    const version = view.getUint16(AT.version, true);
    if (version !== BLOCK_VERSION) throw new BlockDamage(`format version ${version} is unknown`);
    if (view.getUint32(AT.length, true) !== bytes.length) throw new BlockDamage("wrong length");
    const count = view.getUint32(AT.count, true);
    if (count === 0 || count > BLOCK_RECORDS_MAX) throw new BlockDamage(`${count} records`);
    const block = new Block(bytes);
    block.#check();
    return block;
  }

  /** The header when it alone is intact, else undefined. */
  static header(bytes: Uint8Array, crc32: Crc32): BlockHeader | undefined {
    if (bytes.length < HEADER_BYTES) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const crc = crc32(bytes.subarray(HEADER_CRC_FROM, HEADER_BYTES));
    if (view.getUint32(AT.headerCrc, true) !== crc) return undefined;
    const firstSeq = getUint53(view, AT.firstSeq);
    const count = view.getUint32(AT.count, true);
    return { epoch: view.getUint32(AT.epoch, true), firstSeq, lastSeq: firstSeq + count - 1 };
  }

  /** Every record has the one subject, and is for everyone whom that concerns. */
  get isUniform(): boolean {
    return this.#targetColumn < 0 && this.subjects.length === 1;
  }

  /** Index of a position in this block, or -1. */
  indexOf(position: Position): number {
    const { epoch, seq } = position;
    return epoch === this.epoch && seq >= this.firstSeq && seq <= this.lastSeq
      ? seq - this.firstSeq
      : -1;
  }

  /** Index into `subjects`. */
  subjectIndex(index: number): number {
    return this.#view.getUint16(this.#subjects + index * 2, true);
  }

  /** Unsigned 32 bits, or -1: the message has no key. */
  keyHash(index: number): number {
    if ((this.#view.getUint8(this.#flags + index) & RECORD_HAS_KEY) === 0) return -1;
    return this.#view.getUint32(this.#keys + index * 4, true);
  }

  /** Wall milliseconds, or -1: never. */
  expireAtMs(index: number): number {
    return this.#expiry < 0 ? -1 : this.#view.getFloat64(this.#expiry + index * 8, true);
  }

  /** The subscription this record is meant for alone, or undefined: everyone whom it concerns. */
  target(index: number): string | undefined {
    if (this.#targetColumn < 0) return undefined;
    return this.#targets[this.#view.getUint16(this.#targetColumn + index * 2, true)];
  }

  /** First byte of the record's envelope in `envelopeBytes`. */
  envelopeStart(index: number): number {
    return index === 0 ? HEADER_BYTES : this.#view.getUint32(this.#ends + index * 4 - 4, true);
  }

  /** Behind the last byte of the record's envelope. */
  envelopeEnd(index: number): number {
    return this.#view.getUint32(this.#ends + index * 4, true);
  }

  /** What `envelopeStart` and `envelopeEnd` point into: the block itself. */
  get envelopeBytes(): Uint8Array {
    return this.bytes;
  }

  #check(): void {
    let end = HEADER_BYTES;
    for (let index = 0; index < this.count; index++) {
      const next = this.envelopeEnd(index);
      if (next < end) throw new BlockDamage("envelopes overlap");
      end = next;
      if (this.subjectIndex(index) >= this.subjects.length) throw new BlockDamage("no subject");
      if (this.#targetColumn < 0) continue;
      const target = this.#view.getUint16(this.#targetColumn + index * 2, true);
      if (target !== NO_TARGET && target >= this.#targets.length) {
        throw new BlockDamage("no target");
      }
    }
    if (end !== this.#ends) throw new BlockDamage("envelopes do not end at the columns");
  }
}

class TableReader {
  at: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, view: DataView, at: number) {
    this.#bytes = bytes;
    this.#view = view;
    this.at = at;
  }

  subjects(count: number): BlockSubject[] {
    const subjects: BlockSubject[] = [];
    for (let index = 0; index < count; index++) {
      if (this.at >= this.#bytes.length) throw new BlockDamage("subject table cut short");
      const kind = this.#view.getUint8(this.at++);
      if (kind !== 0 && kind !== 1) throw new BlockDamage(`kind ${kind}`);
      subjects.push({ kind, subject: this.#text() });
    }
    return subjects;
  }

  texts(count: number): string[] {
    const texts: string[] = [];
    for (let index = 0; index < count; index++) texts.push(this.#text());
    return texts;
  }

  #text(): string {
    const start = this.at + 2;
    if (start > this.#bytes.length) throw new BlockDamage("table cut short");
    const end = start + this.#view.getUint16(this.at, true);
    if (end > this.#bytes.length) throw new BlockDamage("table cut short");
    this.at = end;
    const bytes = this.#bytes;
    return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("utf8");
  }
}
