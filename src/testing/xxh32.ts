/**
 * XXH32 with seed 0 in plain arithmetic: the protocol's key hash without anything asynchronous to load.
 *
 * Source: Collet, "xxHash fast digest algorithm", version 0.1.1; checked against xxhash-wasm by a test.
 */
import type { Hash } from "../ports/hash.ts";

const P1 = 0x9e37_79b1;
const P2 = 0x85eb_ca77;
const P3 = 0xc2b2_ae3d;
const P4 = 0x27d4_eb2f;
const P5 = 0x1656_67b1;

const rotate = (value: number, by: number): number => (value << by) | (value >>> (32 - by));

const round = (accumulator: number, lane: number): number =>
  Math.imul(rotate((accumulator + Math.imul(lane, P2)) | 0, 13), P1);

/** XXH32 of the bytes, unsigned. */
export const xxh32Bytes = (bytes: Uint8Array): number => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { length } = bytes;
  let at = 0;
  let hash: number;
  if (length >= 16) {
    let a = (P1 + P2) | 0;
    let b = P2 | 0;
    let c = 0;
    let d = -P1 | 0;
    for (; at + 16 <= length; at += 16) {
      a = round(a, view.getUint32(at, true));
      b = round(b, view.getUint32(at + 4, true));
      c = round(c, view.getUint32(at + 8, true));
      d = round(d, view.getUint32(at + 12, true));
    }
    hash = (rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18)) | 0;
  } else {
    hash = P5 | 0;
  }
  hash = (hash + length) | 0;
  for (; at + 4 <= length; at += 4) {
    const lane = Math.imul(view.getUint32(at, true), P3);
    hash = Math.imul(rotate((hash + lane) | 0, 17), P4);
  }
  for (; at < length; at++) {
    hash = Math.imul(rotate((hash + Math.imul(bytes[at] as number, P5)) | 0, 11), P1);
  }
  hash = Math.imul(hash ^ (hash >>> 15), P2);
  hash = Math.imul(hash ^ (hash >>> 13), P3);
  return (hash ^ (hash >>> 16)) >>> 0;
};

const encoder = new TextEncoder();

/** The protocol's pinned hash. */
export const plainXxh32 = (): Hash => ({
  id: "xxh32-0",
  hash32: (text) => xxh32Bytes(encoder.encode(text)),
});
