/**
 * The seal of a heartbeat: HMAC-SHA256 over its first 64 bytes, cut to 16, under the nonces of sender and
 * receiver. They are new with every start and known to nodes that have greeted each other, so a stranger
 * cannot speak for a node, nor an earlier life for a later one; and a datagram sent back to its sender is none.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { DATAGRAM_BYTES, SEAL_BYTES, SEALED_BYTES } from "../wire/heartbeat-datagram.ts";

/** Nonces below this length prove nothing. */
export const NONCE_BYTES_MIN = 16;

export const sealKey = (from: Uint8Array, to: Uint8Array): Uint8Array => Buffer.concat([from, to]);

export const seal = (datagram: Uint8Array, key: Uint8Array): Uint8Array => {
  datagram.set(sealOf(datagram, key), SEALED_BYTES);
  return datagram;
};

export const isSealed = (datagram: Uint8Array, key: Uint8Array): boolean =>
  timingSafeEqual(datagram.subarray(SEALED_BYTES, DATAGRAM_BYTES), sealOf(datagram, key));

const sealOf = (datagram: Uint8Array, key: Uint8Array): Uint8Array =>
  createHmac("sha256", key)
    .update(datagram.subarray(0, SEALED_BYTES))
    .digest()
    .subarray(0, SEAL_BYTES);
