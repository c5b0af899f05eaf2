/**
 * Writes Batch frames: envelopes from the journal, or straight from a publish, into one arena.
 *
 * Problem: a frame, its sections and their deliveries each carry a length in front, known only when
 * their content is written. Approach: the frame and the sections reserve 5 bytes, filled in at the end
 * as padded varints; a delivery's length is bounded beforehand and gets the width of that bound, so
 * nothing is measured twice and nothing moves.
 *
 * Invariants: `begin`, then sections, each with its deliveries, then `finish`; between `begin` and
 * `finish` the arena holds one valid frame but for the reserved lengths. The writer sets no limit of its
 * own: the caller cuts by `bytes`, below the peer's frame limit and below MESSAGES_MAX deliveries.
 */
import type { SectionHead } from "./batch.ts";
import { BundleWriter } from "./bundle-writer.ts";
import { ByteWriter, putPaddedVarint, putVarint, varintBytes } from "./byte-writer.ts";
import { type EnvelopeTemplate, envelopeBytesBound, writeEnvelope } from "./envelope.ts";
import type { EnvelopeVariables } from "./envelope-rest.ts";
import { boolField, uint32Field, uint64Field } from "./field-writer.ts";

const ARENA_BYTES_DEFAULT = 80 * 1024;
const LENGTH_BYTES = 5;
/** Four varints with tags of at most 9 each, key_hash 5, resume 2, the envelope's tag and length 9. */
const DELIVERY_HEAD_BYTES = 52;
/** A delivery's own tag and length. */
const DELIVERY_OPEN_BYTES = 6;

export class BatchWriter {
  readonly #writer: ByteWriter;
  readonly #bundles: BundleWriter;
  #batchStart = 0;
  /** Where the content of the open section starts; 0: none is open. */
  #sectionStart = 0;
  #deliveries = 0;
  #tail: Uint8Array | undefined;

  /** @param arenaBytes where frames are written; best a little above the size at which they are cut */
  constructor(arenaBytes: number = ARENA_BYTES_DEFAULT) {
    this.#writer = new ByteWriter(arenaBytes);
    this.#bundles = new BundleWriter(this.#writer);
  }

  /** Bytes of the frame so far. */
  get bytes(): number {
    return this.#writer.position + this.#tailBytes;
  }

  /** The end of the frame, which `finish` leaves out; undefined: there is none. */
  get tail(): Uint8Array | undefined {
    return this.#tail;
  }

  /** Deliveries in the frame so far. */
  get deliveries(): number {
    return this.#deliveries;
  }

  /** True until the first section begins. */
  get empty(): boolean {
    return this.#sectionStart === 0;
  }

  /** Starts a frame; one that was not finished is forgotten. */
  begin(session: number): void {
    const writer = this.#writer;
    writer.reset();
    writer.byte(0x0d);
    writer.fixed32(session);
    writer.byte(0x3a);
    this.#batchStart = writer.open(LENGTH_BYTES);
    this.#sectionStart = 0;
    this.#deliveries = 0;
    this.#tail = undefined;
  }

  /** Starts a section, and ends the one before it. @throws WireError when a number does not fit */
  beginSection(head: SectionHead): void {
    const writer = this.#writer;
    this.#endSection();
    writer.byte(0x0a);
    this.#sectionStart = writer.open(LENGTH_BYTES);
    uint32Field(writer, 0x08, head.subscription);
    uint64Field(writer, 0x10, head.first);
    uint32Field(writer, 0x18, head.epoch);
    boolField(writer, 0x20, head.volatile);
    uint32Field(writer, 0x28, head.floorEpoch);
    uint64Field(writer, 0x30, head.floorSeq);
    uint64Field(writer, 0x38, head.term);
  }

  /**
   * Adds a message whose envelope is `source` from `start` to `end`; it is copied. See `Delivery` for
   * the rest: -1 stands for no key and for never.
   */
  delivery(
    seq: number,
    keyHash: number,
    attempts: number,
    skip: number,
    remainingMs: number,
    resume: boolean,
    source: Uint8Array,
    start: number,
    end: number,
  ): void {
    const writer = this.#writer;
    const size = end - start;
    const lengthBytes = varintBytes(DELIVERY_HEAD_BYTES + size);
    writer.ensure(DELIVERY_OPEN_BYTES + DELIVERY_HEAD_BYTES + size);
    const buffer = writer.buffer;
    const content = writer.position + 1 + lengthBytes;
    buffer[writer.position] = 0x7a;
    let at = putHead(buffer, content, seq, keyHash, attempts, skip, remainingMs, resume);
    buffer[at++] = 0x7a;
    at = putVarint(buffer, at, size);
    copyBytes(source, start, end, buffer, at);
    at += size;
    putPaddedVarint(buffer, content - lengthBytes, lengthBytes, at - content);
    writer.position = at;
    this.#deliveries++;
  }

  /**
   * Adds an at-most-once message to the bundle that is open, or to a new one. Returns its envelope's bytes, the
   * constants left out.
   */
  bundled(template: EnvelopeTemplate, keyHash: number, fields: EnvelopeVariables): number {
    this.#deliveries++;
    return this.#bundles.append(template, keyHash, fields);
  }

  /** Adds bundles that were written elsewhere, of so many messages; they are copied. */
  bundles(bytes: Uint8Array, count: number): void {
    this.#writer.raw(bytes);
    this.#deliveries += count;
  }

  /** As `bundles`, without a copy: they become the `tail`, and nothing can be added. */
  endWith(bundles: Uint8Array, count: number): void {
    this.#tail = bundles;
    this.#deliveries += count;
  }

  /** Adds a message by encoding its envelope here; otherwise as `delivery`. Returns the envelope's bytes. */
  emitDelivery(
    seq: number,
    keyHash: number,
    attempts: number,
    skip: number,
    remainingMs: number,
    resume: boolean,
    template: EnvelopeTemplate,
    fields: EnvelopeVariables,
  ): number {
    const writer = this.#writer;
    const start = writer.position;
    const bound = envelopeBytesBound(template, fields);
    const sizeBytes = varintBytes(bound);
    const lengthBytes = varintBytes(DELIVERY_HEAD_BYTES + bound);
    writer.ensure(DELIVERY_OPEN_BYTES + DELIVERY_HEAD_BYTES + bound);
    const content = start + 1 + lengthBytes;
    let buffer = writer.buffer;
    buffer[start] = 0x7a;
    const at = putHead(buffer, content, seq, keyHash, attempts, skip, remainingMs, resume);
    buffer[at] = 0x7a;
    let size = 0;
    try {
      writer.position = at + 1 + sizeBytes;
      size = writeEnvelope(writer, template, fields);
    } catch (error) {
      // What is already in the frame stays whole.
      writer.position = start;
      throw error;
    }
    buffer = writer.buffer;
    putPaddedVarint(buffer, at + 1, sizeBytes, size);
    putPaddedVarint(buffer, content - lengthBytes, lengthBytes, writer.position - content);
    this.#deliveries++;
    return size;
  }

  /** Ends the frame and hands it over, without its `tail`; the bytes belong to the caller. Then `begin` anew. */
  finish(): Uint8Array {
    this.#end();
    return this.#writer.take();
  }

  /** As `finish`, but the bytes are where they are until `begin`. */
  finishInPlace(): Uint8Array {
    this.#end();
    return this.#writer.lend();
  }

  #end(): void {
    this.#endSection();
    this.#close(this.#batchStart);
    this.#sectionStart = 0;
    this.#deliveries = 0;
    this.#tail = undefined;
  }

  get #tailBytes(): number {
    return this.#tail === undefined ? 0 : this.#tail.length;
  }

  #endSection(): void {
    this.#bundles.close();
    if (this.#sectionStart > 0) this.#close(this.#sectionStart);
  }

  /** Fills in the length of what began there. */
  #close(start: number): void {
    const bytes = this.#writer.position + this.#tailBytes - start;
    putPaddedVarint(this.#writer.buffer, start - LENGTH_BYTES, LENGTH_BYTES, bytes);
  }
}

/** Everything of a delivery before its envelope; returns the position behind it. */
const putHead = (
  buffer: Uint8Array,
  start: number,
  seq: number,
  keyHash: number,
  attempts: number,
  skip: number,
  remainingMs: number,
  resume: boolean,
): number => {
  let at = start;
  if (seq !== 0) {
    buffer[at++] = 0x08;
    at = putVarint(buffer, at, seq);
  }
  if (keyHash >= 0) {
    buffer[at] = 0x15;
    buffer[at + 1] = keyHash;
    buffer[at + 2] = keyHash >>> 8;
    buffer[at + 3] = keyHash >>> 16;
    buffer[at + 4] = keyHash >>> 24;
    at += 5;
  }
  if (attempts !== 0) {
    buffer[at++] = 0x18;
    at = putVarint(buffer, at, attempts);
  }
  if (skip !== 0) {
    buffer[at++] = 0x20;
    at = putVarint(buffer, at, skip);
  }
  if (remainingMs >= 0) {
    buffer[at++] = 0x28;
    at = putVarint(buffer, at, remainingMs + 1);
  }
  if (resume) {
    buffer[at] = 0x30;
    buffer[at + 1] = 1;
    at += 2;
  }
  return at;
};

const copyBytes = (
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
): void => {
  target.set(source.subarray(start, end), at);
};
