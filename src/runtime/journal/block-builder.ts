/**
 * Builds blocks: appends messages to an arena and hands the finished block over.
 *
 * Problem: this runs once per published message. Approach: envelopes are written straight into the
 * arena that becomes the block; what else belongs to a record goes to typed columns, which are copied
 * behind the envelopes when the block is finished. Subjects and targets are interned per block.
 *
 * Invariants: an append that throws leaves the builder as it was. `bytes` is the size the block would
 * have if it were finished now. At most BLOCK_RECORDS_MAX records; the caller asks `isFull` before it
 * appends.
 */
import type { ByteWriter } from "../../wire/byte-writer.ts";
import { ByteWriter as Arena } from "../../wire/byte-writer.ts";
import { type EnvelopeTemplate, writeEnvelope } from "../../wire/envelope.ts";
import type { EnvelopeVariables } from "../../wire/envelope-rest.ts";
import { Block } from "./block.ts";
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
  HEADER_BYTES,
  HEADER_CRC_FROM,
  NO_TARGET,
  RECORD_HAS_KEY,
  setTime,
  setUint53,
} from "./block-format.ts";
import { TextTable } from "./text-table.ts";

/** What the journal keeps of a message beside its envelope. */
export type BlockRecord = {
  /** 0: event, 1: command. */
  readonly kind: 0 | 1;
  readonly subject: string;
  /** Unsigned 32 bits, or -1: no key. */
  readonly keyHash: number;
  /** Wall milliseconds, or -1: never. */
  readonly expireAtMs: number;
  /** The subscription it is meant for alone; undefined: everyone whom it concerns. */
  readonly target: string | undefined;
  /** Hybrid time of acceptance. */
  readonly timeMs: number;
  readonly timeCounter: number;
};

/** State to go back to. */
export type BuilderMark = {
  readonly count: number;
  readonly position: number;
  readonly subjects: number;
  readonly targets: number;
  readonly flags: number;
  readonly firstMs: number;
  readonly firstCounter: number;
  readonly lastMs: number;
  readonly lastCounter: number;
};

const COLUMNS_INITIAL = 1024;

export class BlockBuilder {
  readonly #bytesMax: number;
  readonly #crc32: Crc32;
  readonly #arena: ByteWriter;
  readonly #subjects = new TextTable();
  readonly #targets = new TextTable();
  #ends = new Uint32Array(COLUMNS_INITIAL);
  #keys = new Uint32Array(COLUMNS_INITIAL);
  #subjectOf = new Uint16Array(COLUMNS_INITIAL);
  #hasKey = new Uint8Array(COLUMNS_INITIAL);
  #expiry = new Float64Array(COLUMNS_INITIAL);
  #targetOf = new Uint16Array(COLUMNS_INITIAL);
  #subjectsBefore = 0;
  #targetsBefore = 0;
  #count = 0;
  #flags = 0;
  #firstMs = Number.POSITIVE_INFINITY;
  #firstCounter = 0;
  #lastMs = -1;
  #lastCounter = 0;

  /** @param options bytesMax: size at which `isFull` says so, in bytes */
  constructor(options: { readonly bytesMax: number; readonly crc32: Crc32 }) {
    this.#bytesMax = options.bytesMax;
    this.#crc32 = options.crc32;
    this.#arena = new Arena(options.bytesMax + (options.bytesMax >> 2) + HEADER_BYTES);
  }

  get count(): number {
    return this.#count;
  }

  /** Size of the block if it were finished now; 0 when empty. */
  get bytes(): number {
    if (this.#count === 0) return 0;
    const tables = this.#subjects.bytes + this.#targets.bytes;
    return this.#arena.position + this.#count * columnBytes(this.#flags) + tables;
  }

  /** It has reached bytesMax, or holds as many records as a block can. */
  get isFull(): boolean {
    return this.#count >= BLOCK_RECORDS_MAX || this.bytes >= this.#bytesMax;
  }

  /** Appends what `write` writes. */
  append(record: BlockRecord, write: (writer: ByteWriter) => void): void {
    const mark = this.#begin();
    try {
      write(this.#arena);
      this.#push(record);
    } catch (error) {
      this.#undo(mark);
      throw error;
    }
  }

  /** Encodes an envelope straight into the block. @throws WireError when it cannot be encoded */
  appendEnvelope(
    record: BlockRecord,
    template: EnvelopeTemplate,
    variables: EnvelopeVariables,
  ): void {
    const mark = this.#begin();
    try {
      writeEnvelope(this.#arena, template, variables);
      this.#push(record);
    } catch (error) {
      this.#undo(mark);
      throw error;
    }
  }

  /** Appends an envelope that is encoded already. */
  appendBytes(record: BlockRecord, envelope: Uint8Array): void {
    const mark = this.#begin();
    try {
      this.#arena.raw(envelope);
      this.#push(record);
    } catch (error) {
      this.#undo(mark);
      throw error;
    }
  }

  mark(): BuilderMark {
    return {
      count: this.#count,
      position: this.#arena.position,
      subjects: this.#subjects.count,
      targets: this.#targets.count,
      flags: this.#flags,
      firstMs: this.#firstMs,
      firstCounter: this.#firstCounter,
      lastMs: this.#lastMs,
      lastCounter: this.#lastCounter,
    };
  }

  /** Undoes everything appended since `mark`. */
  rollback(mark: BuilderMark): void {
    this.#count = mark.count;
    this.#arena.position = mark.position;
    this.#subjects.truncate(mark.subjects);
    this.#targets.truncate(mark.targets);
    this.#flags = mark.flags;
    this.#firstMs = mark.firstMs;
    this.#firstCounter = mark.firstCounter;
    this.#lastMs = mark.lastMs;
    this.#lastCounter = mark.lastCounter;
  }

  /** The block, which owns its bytes. The builder is empty again. Not to be called while it is. */
  finish(epoch: number, firstSeq: number): Block {
    const columns = this.#arena.position;
    const bytes = this.bytes;
    this.#writeColumns(bytes - columns);
    const owned = this.#arena.take();
    const view = new DataView(owned.buffer, owned.byteOffset, owned.byteLength);
    view.setUint32(AT.magic, BLOCK_MAGIC, true);
    view.setUint16(AT.version, BLOCK_VERSION, true);
    view.setUint16(AT.flags, this.#flags, true);
    view.setUint32(AT.length, bytes, true);
    view.setUint32(AT.epoch, epoch, true);
    setUint53(view, AT.firstSeq, firstSeq);
    setTime(view, AT.firstTime, this.#firstMs, this.#firstCounter);
    setTime(view, AT.lastTime, this.#lastMs, this.#lastCounter);
    view.setUint32(AT.count, this.#count, true);
    view.setUint32(AT.columns, columns, true);
    view.setUint16(AT.subjects, this.#subjects.count, true);
    view.setUint16(AT.targets, this.#targets.count, true);
    view.setUint32(AT.zero, 0, true);
    const headerCrc = this.#crc32(owned.subarray(HEADER_CRC_FROM, HEADER_BYTES));
    view.setUint32(AT.headerCrc, headerCrc, true);
    view.setUint32(AT.crc, this.#crc32(owned.subarray(CRC_FROM)), true);
    this.discard();
    return new Block(owned);
  }

  /** Forgets what was appended. */
  discard(): void {
    this.#arena.reset();
    this.#subjects.clear();
    this.#targets.clear();
    this.#count = 0;
    this.#flags = 0;
    this.#firstMs = Number.POSITIVE_INFINITY;
    this.#lastMs = -1;
  }

  #begin(): number {
    const arena = this.#arena;
    if (this.#count === 0) {
      arena.position = 0;
      arena.ensure(HEADER_BYTES);
      arena.position = HEADER_BYTES;
    }
    if (this.#count === this.#ends.length) this.#growColumns();
    this.#subjectsBefore = this.#subjects.count;
    this.#targetsBefore = this.#targets.count;
    return arena.position;
  }

  /** An append failed half-way: its envelope and texts go. */
  #undo(position: number): void {
    this.#arena.position = position;
    this.#subjects.truncate(this.#subjectsBefore);
    this.#targets.truncate(this.#targetsBefore);
  }

  #push(record: BlockRecord): void {
    const index = this.#count;
    const { keyHash, expireAtMs, target, timeMs, timeCounter } = record;
    const subject = this.#subjects.intern(record.kind, record.subject);
    this.#targetOf[index] = target === undefined ? NO_TARGET : this.#targets.intern(-1, target);
    this.#ends[index] = this.#arena.position;
    this.#keys[index] = Math.max(keyHash, 0);
    this.#hasKey[index] = keyHash < 0 ? 0 : RECORD_HAS_KEY;
    this.#subjectOf[index] = subject;
    this.#expiry[index] = expireAtMs;
    if (expireAtMs >= 0) this.#flags |= FLAG_EXPIRY;
    if (target !== undefined) this.#flags |= FLAG_TARGETS;
    if (timeMs < this.#firstMs || (timeMs === this.#firstMs && timeCounter < this.#firstCounter)) {
      this.#firstMs = timeMs;
      this.#firstCounter = timeCounter;
    }
    if (timeMs > this.#lastMs || (timeMs === this.#lastMs && timeCounter > this.#lastCounter)) {
      this.#lastMs = timeMs;
      this.#lastCounter = timeCounter;
    }
    this.#count = index + 1;
  }

  #writeColumns(tailBytes: number): void {
    const arena = this.#arena;
    const count = this.#count;
    arena.ensure(tailBytes);
    const { buffer } = arena;
    const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    let at = arena.position;
    for (let i = 0; i < count; i++, at += 4) view.setUint32(at, this.#ends[i] as number, true);
    for (let i = 0; i < count; i++, at += 4) view.setUint32(at, this.#keys[i] as number, true);
    for (let i = 0; i < count; i++, at += 2) view.setUint16(at, this.#subjectOf[i] as number, true);
    buffer.set(this.#hasKey.subarray(0, count), at);
    at += count;
    if ((this.#flags & FLAG_EXPIRY) !== 0) {
      for (let i = 0; i < count; i++, at += 8) view.setFloat64(at, this.#expiry[i] as number, true);
    }
    if ((this.#flags & FLAG_TARGETS) !== 0) {
      for (let i = 0; i < count; i++, at += 2) {
        view.setUint16(at, this.#targetOf[i] as number, true);
      }
    }
    at = this.#subjects.writeTo(buffer, at);
    arena.position = this.#targets.writeTo(buffer, at);
  }

  #growColumns(): void {
    const length = this.#ends.length * 2;
    this.#ends = grown(new Uint32Array(length), this.#ends);
    this.#keys = grown(new Uint32Array(length), this.#keys);
    this.#subjectOf = grown(new Uint16Array(length), this.#subjectOf);
    this.#hasKey = grown(new Uint8Array(length), this.#hasKey);
    this.#expiry = grown(new Float64Array(length), this.#expiry);
    this.#targetOf = grown(new Uint16Array(length), this.#targetOf);
  }
}

const grown = <T extends { set(from: T): void }>(larger: T, smaller: T): T => {
  larger.set(smaller);
  return larger;
};
