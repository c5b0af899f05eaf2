/**
 * Gives positions and fills blocks: what was appended and has not been handed to a commit.
 *
 * Invariants: positions are given in order of the calls; inside an epoch they have no gap; a block holds
 * positions of one epoch; an append that throws has given no position.
 */
import { MeshError } from "../../errors.ts";
import type { Block } from "./block.ts";
import { BlockBuilder } from "./block-builder.ts";
import { BLOCK_RECORDS_MAX, type Crc32 } from "./block-format.ts";
import type { JournalLimits, JournalRecord } from "./journal-options.ts";

/** Bytes a record takes beside payload, subject and key, roughly. */
export const RECORD_OVERHEAD = 64;

export class LogWriter {
  readonly #builder: BlockBuilder;
  readonly #limits: JournalLimits;
  #epoch: number;
  #openFirst = 1;
  #nextSeq = 1;
  #sealed: Block[] = [];
  #sealedBytes = 0;

  constructor(epoch: number, limits: JournalLimits, crc32: Crc32) {
    this.#epoch = epoch;
    this.#limits = limits;
    this.#builder = new BlockBuilder({ bytesMax: limits.blockBytes, crc32 });
  }

  /** Epoch of the positions given now. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Bytes not handed to a commit. */
  get bytes(): number {
    return this.#builder.bytes + this.#sealedBytes;
  }

  /** Returns the seq given. */
  append(record: JournalRecord): number {
    this.#encode(record);
    if (this.#builder.isFull) this.seal();
    return this.#nextSeq++;
  }

  /** All or none, in one block; returns the first seq. `bytes`: about what they take. */
  appendMany(records: readonly JournalRecord[], bytes: number): number {
    this.#checkMany(records.length, bytes);
    const builder = this.#builder;
    const full = builder.count + records.length > BLOCK_RECORDS_MAX;
    if (full || builder.bytes + bytes > this.#limits.blockBytes) this.seal();
    const mark = builder.mark();
    try {
      for (const record of records) this.#encode(record);
    } catch (error) {
      builder.rollback(mark);
      throw error;
    }
    const first = this.#nextSeq;
    this.#nextSeq += records.length;
    if (builder.isFull) this.seal();
    return first;
  }

  /** Closes the open block. */
  seal(): void {
    const count = this.#builder.count;
    if (count === 0) return;
    const block = this.#builder.finish(this.#epoch, this.#openFirst);
    this.#openFirst += count;
    this.#sealed.push(block);
    this.#sealedBytes += block.bytes.length;
  }

  /** Hands over every block, in order. */
  take(): readonly Block[] {
    this.seal();
    const blocks = this.#sealed;
    this.#sealed = [];
    this.#sealedBytes = 0;
    return blocks;
  }

  /** Forgets what was not handed over. True when that was anything. */
  discard(): boolean {
    const lost = this.#sealed.length > 0 || this.#builder.count > 0;
    this.#builder.discard();
    this.#sealed = [];
    this.#sealedBytes = 0;
    return lost;
  }

  /** Positions start again at 1. What is open keeps its epoch. */
  beginEpoch(epoch: number): void {
    this.seal();
    this.#epoch = epoch;
    this.#nextSeq = 1;
    this.#openFirst = 1;
  }

  #encode(record: JournalRecord): void {
    const { template, variables, bytes } = record;
    if (bytes !== undefined) this.#builder.appendBytes(record, bytes);
    else if (template !== undefined && variables !== undefined) {
      this.#builder.appendEnvelope(record, template, variables);
    } else throw new TypeError("a record needs bytes, or a template and variables");
  }

  #checkMany(count: number, bytes: number): void {
    if (count === 0) throw new RangeError("appendMany needs at least one record");
    const { manyBytesMax } = this.#limits;
    if (count <= BLOCK_RECORDS_MAX && bytes <= manyBytesMax) return;
    const bound = `${BLOCK_RECORDS_MAX} messages or ${manyBytesMax} B`;
    throw new MeshError("PAYLOAD_TOO_LARGE", `${count} messages of ${bytes} B exceed ${bound}`);
  }
}

/** Size in the log, near enough for limits: rare envelope fields are not counted. */
export const sizeOfRecord = (record: JournalRecord): number => {
  const { bytes, variables, subject } = record;
  if (bytes !== undefined) return bytes.length + RECORD_OVERHEAD;
  const key = variables?.key?.length ?? 0;
  return (variables?.payload.length ?? 0) + subject.length + key + RECORD_OVERHEAD;
};
