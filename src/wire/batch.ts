/**
 * Batch: all messages for one peer of one turn. This is the frame that carries the load.
 *
 * Problem: each delivery read costs objects. Approach: one small object of one shape per delivery, all
 * numbers; the envelope stays where it is, as a range of the frame's bytes, and gets a view only when a
 * handler wants it. `NaN`, null and undefined never stand in a number's place: -1 says "none".
 *
 * Invariant: `envelopeStart <= envelopeEnd <= bytes.length`. The frame's bytes stay in memory as long as
 * any delivery of it is kept. Writing is batch-writer.ts and, for bundles, bundle-writer.ts.
 */
import { type Bundle, readBundle } from "./bundle.ts";
import type { ByteReader } from "./byte-reader.ts";
import { WireError } from "./wire-error.ts";

export type Delivery = {
  /** With the section's epoch the position at the producer; 0 when volatile. */
  readonly seq: number;
  /** Unsigned 32-bit hash of the key; -1: no key. */
  readonly keyHash: number;
  /** Failed attempts so far. */
  readonly attempts: number;
  /** Positions directly before this one that do not concern the subscription. */
  readonly skip: number;
  /** Milliseconds until it expires at its producer; -1: never. */
  readonly remainingMs: number;
  /** Lifts the stop that a retry put on the key. */
  readonly resume: boolean;
  /** The frame; the envelope is from `envelopeStart` up to `envelopeEnd`, not checked. */
  readonly bytes: Uint8Array;
  readonly envelopeStart: number;
  readonly envelopeEnd: number;
};

/** What the deliveries of one subscription in one Batch have in common. */
export type SectionHead = {
  readonly subscription: number;
  /** Delivery number of the first delivery; the others follow by one. */
  readonly first: number;
  /** Epoch of the deliveries' positions. */
  readonly epoch: number;
  /** At most once: no position, no settle. */
  readonly volatile: boolean;
  /** Everything of this producer up to here is settled, durably at the producer. */
  readonly floorEpoch: number;
  readonly floorSeq: number;
  /** The receiving member's term; another one after it left and joined anew. 0: not stated. */
  readonly term: number;
};

export type Section = SectionHead & {
  readonly deliveries: readonly Delivery[];
  /** Numbered behind the deliveries. None unless volatile. */
  readonly bundles: readonly Bundle[];
};

export type BatchFrame = {
  readonly type: "batch";
  readonly session: number;
  readonly sections: readonly Section[];
};

const NO_BUNDLES: Bundle[] = [];

export const readBatch = (reader: ByteReader, session: number): BatchFrame => {
  const sections: Section[] = [];
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) sections.push(reader.message(readSection));
    else reader.skip(tag, 0x02);
  }
  return { type: "batch", session, sections };
};

const readSection = (reader: ByteReader): Section => {
  const deliveries: Delivery[] = [];
  let bundles: Bundle[] = NO_BUNDLES;
  let subscription = 0;
  let first = 0;
  let epoch = 0;
  let volatile = false;
  let floorEpoch = 0;
  let floorSeq = 0;
  let term = 0;
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x7a) deliveries.push(readDelivery(reader));
    else if (tag === 0x82) {
      if (bundles === NO_BUNDLES) bundles = [];
      bundles.push(readBundle(reader));
    } else if (tag === 0x08) subscription = reader.uint32();
    else if (tag === 0x10) first = reader.uint64();
    else if (tag === 0x18) epoch = reader.uint32();
    else if (tag === 0x20) volatile = reader.bool();
    else if (tag === 0x28) floorEpoch = reader.uint32();
    else if (tag === 0x30) floorSeq = reader.uint64();
    else if (tag === 0x38) term = reader.uint64();
    else reader.skip(tag, 0x1_80fe);
  }
  if (!volatile && bundles.length > 0) throw new WireError("a bundle of durable messages");
  return { subscription, first, epoch, volatile, floorEpoch, floorSeq, term, deliveries, bundles };
};

const readDelivery = (reader: ByteReader): Delivery => {
  const outer = reader.enter();
  let seq = 0;
  let keyHash = -1;
  let attempts = 0;
  let skip = 0;
  let remainingMs = -1;
  let resume = false;
  let envelopeStart = reader.position;
  let envelopeEnd = envelopeStart;
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x7a) {
      envelopeEnd = reader.end();
      envelopeStart = reader.position;
      reader.position = envelopeEnd;
    } else if (tag === 0x08) seq = reader.uint64();
    else if (tag === 0x15) keyHash = reader.fixed32();
    else if (tag === 0x18) attempts = reader.uint32();
    else if (tag === 0x20) skip = reader.uint32();
    else if (tag === 0x28) remainingMs = reader.uint64() - 1;
    else if (tag === 0x30) resume = reader.bool();
    else reader.skip(tag, 0x807e);
  }
  reader.leave(outer);
  const bytes = reader.bytes;
  return {
    seq,
    keyHash,
    attempts,
    skip,
    remainingMs,
    resume,
    bytes,
    envelopeStart,
    envelopeEnd,
  };
};
