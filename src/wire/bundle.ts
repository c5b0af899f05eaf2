/**
 * Bundle: at-most-once messages of one contract, of whose envelopes the constants are said once.
 *
 * Problem: reading must cost next to nothing a message. Approach: the constants are read once; of each message
 * only where it lies is noted. An envelope is the head followed by what the bundle has of it, and gets a view
 * (`EnvelopeView` with a head) only where the payload alone does not do.
 *
 * Invariants: the head has been checked and says nothing but constants; what lies between the pairs of `rests`
 * is not checked; `keyHashes` has one number for each message, or none.
 */
import type { ByteReader } from "./byte-reader.ts";
import { EnvelopeView } from "./envelope.ts";
import { WireError } from "./wire-error.ts";

/** Bit of `Identity.features`: this node takes bundles. */
export const BUNDLE_FEATURE = 4;

export type Bundle = {
  /** The frame. */
  readonly bytes: Uint8Array;
  readonly head: EnvelopeView;
  /** Of each message where in `bytes` the rest of its envelope starts and ends: pairs. */
  readonly rests: readonly number[];
  /** Unsigned 32-bit hashes of the keys; empty: no message has a key. */
  readonly keyHashes: readonly number[];
};

/** The tag of a time, and the time. */
export const TIME_BYTES = 9;

export const readBundle = (reader: ByteReader): Bundle => {
  const outer = reader.enter();
  const { bytes } = reader;
  const rests: number[] = [];
  const keyHashes: number[] = [];
  let head: EnvelopeView | undefined;
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x7a) {
      const end = reader.nestedEnd();
      rests.push(reader.position, end);
      reader.position = end;
    } else if (tag === 0x0a) {
      const end = reader.end();
      head = new EnvelopeView(bytes, reader.position, end);
      reader.position = end;
    } else if (tag === 0x12) readHashes(reader, keyHashes);
    else reader.skip(tag, 0x8006);
  }
  reader.leave(outer);
  if (head === undefined) throw new WireError("a bundle without head");
  if (!head.isConstant) throw new WireError("a bundle whose head says more than constants");
  if (keyHashes.length > 0 && keyHashes.length * 2 !== rests.length) {
    const counts = `${keyHashes.length} key hashes for ${rests.length / 2} messages`;
    throw new WireError(`a bundle with ${counts}`);
  }
  return { bytes, head, rests, keyHashes };
};

/**
 * The payload of a message of a bundle, when there is nothing else than its time in the rest of its envelope;
 * undefined: that takes a view.
 */
export const plainPayload = (
  bytes: Uint8Array,
  start: number,
  end: number,
): Uint8Array | undefined => {
  const at = start + TIME_BYTES;
  return at > end || bytes[start] !== 0x21 ? undefined : lastPayload(bytes, at, end);
};

/** The payload, when it is all there is, or there is nothing. */
export const lastPayload = (bytes: Uint8Array, at: number, end: number): Uint8Array | undefined => {
  if (at === end) return bytes.subarray(at, at);
  if (at + 1 >= end || bytes[at] !== 0x7a) return undefined;
  // A length in its shortest or in a padded form; what is read is within the frame, and then compared.
  let from = at + 1;
  let byte = bytes[from++] as number;
  let length = byte & 0x7f;
  for (let shift = 7; byte > 0x7f && shift < 28; shift += 7) {
    byte = bytes[from++] as number;
    length |= (byte & 0x7f) << shift;
  }
  return byte <= 0x7f && from + length === end ? bytes.subarray(from, end) : undefined;
};

const readHashes = (reader: ByteReader, into: number[]): void => {
  const outer = reader.enter();
  while (reader.position < reader.limit) into.push(reader.fixed32());
  reader.leave(outer);
};
