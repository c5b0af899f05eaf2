/**
 * Writes bundles: at-most-once messages of one contract, of whose envelopes the constants are said once.
 *
 * Problem: the constants of an envelope are a third of a small message's bytes and most of what its reader
 * has to look at, and each link encodes them anew. Approach: a bundle says them once, and what differs
 * follows for each message. Nothing in it belongs to a link: what is written once serves every link.
 *
 * Invariants: what lies in the arena between two calls of `close` is a run of whole `Section.bundles`
 * fields; the messages of a bundle have the same template, and all of them have a key or none has.
 */
import { type ByteWriter, putPaddedVarint, varintBytes } from "./byte-writer.ts";
import type { EnvelopeTemplate } from "./envelope.ts";
import { type EnvelopeVariables, restBytesBound, writeRest } from "./envelope-rest.ts";

const LENGTH_BYTES = 5;

export class BundleWriter {
  readonly #writer: ByteWriter;
  #template: EnvelopeTemplate | undefined;
  /** Where the content of the open bundle starts. */
  #start = 0;
  /** Hashes of the keys of the open bundle's messages; undefined: they have none. */
  #keyHashes: number[] | undefined;

  constructor(writer: ByteWriter) {
    this.#writer = writer;
  }

  /** Adds a message; `keyHash` -1: it has no key. Returns the bytes of its envelope without the constants. */
  append(template: EnvelopeTemplate, keyHash: number, fields: EnvelopeVariables): number {
    const isKeyed = keyHash >= 0;
    if (template !== this.#template || isKeyed !== (this.#keyHashes !== undefined)) {
      this.#begin(template, isKeyed);
    }
    const writer = this.#writer;
    const start = writer.position;
    const bound = restBytesBound(fields);
    const sizeBytes = varintBytes(bound);
    writer.ensure(1 + sizeBytes + bound);
    writer.buffer[start] = 0x7a;
    let size = 0;
    try {
      writer.position = start + 1 + sizeBytes;
      size = writeRest(writer, fields);
    } catch (error) {
      // What is already there stays whole.
      writer.position = start;
      throw error;
    }
    putPaddedVarint(writer.buffer, start + 1, sizeBytes, size);
    if (isKeyed) this.#keyHashes?.push(keyHash);
    return size;
  }

  /** Ends the open bundle, if there is one. */
  close(): void {
    if (this.#template === undefined) return;
    const writer = this.#writer;
    const hashes = this.#keyHashes;
    if (hashes !== undefined) {
      writer.byte(0x12);
      writer.uint64(4 * hashes.length);
      for (const hash of hashes) writer.fixed32(hash);
    }
    writer.closePadded(this.#start, LENGTH_BYTES);
    this.#template = undefined;
    this.#keyHashes = undefined;
  }

  #begin(template: EnvelopeTemplate, isKeyed: boolean): void {
    this.close();
    const writer = this.#writer;
    writer.tag(0x82);
    this.#start = writer.open(LENGTH_BYTES);
    writer.byte(0x0a);
    writer.bytes(template.head);
    this.#template = template;
    this.#keyHashes = isKeyed ? [] : undefined;
  }
}
