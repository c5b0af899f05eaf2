/** A payload of 128 bytes that says which message of which key it is, and when it was due. */
import { bytes, event } from "meshbus";
import { PAYLOAD_BYTES } from "./payload.ts";

export type KeyedMessage = {
  readonly key: number;
  /** Counts from 0 within the key. */
  readonly number: number;
  /** Microseconds of the machine's monotonic clock. */
  readonly dueUs: number;
};

export const writeKeyed = ({ key, number, dueUs }: KeyedMessage): Buffer => {
  const payload = Buffer.allocUnsafe(PAYLOAD_BYTES);
  payload.writeUInt32LE(key, 0);
  payload.writeUInt32LE(number, 4);
  payload.writeDoubleLE(dueUs, 8);
  return payload;
};

export const readKeyed = (payload: Uint8Array): KeyedMessage => {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  return {
    key: view.getUint32(0, true),
    number: view.getUint32(4, true),
    dueUs: view.getFloat64(8, true),
  };
};

export const Keyed = event("bench.keyed", {
  schema: bytes(),
  key: (payload) => `k${readKeyed(payload).key}`,
});
export const GROUP = "sink";
