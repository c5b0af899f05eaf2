/**
 * What differs from message to message of one contract: the part of an envelope behind its constants.
 *
 * Written on its own where the constants are said once for many messages (bundle-writer.ts), and behind them
 * in an envelope of its own (envelope.ts).
 */
import { type ByteWriter, putVarint } from "./byte-writer.ts";
import {
  fieldBound,
  hasRareFields,
  type RareFields,
  rareFieldsBound,
  textBound,
  writeRareFields,
} from "./envelope-rare.ts";
import type { HybridTime } from "./hybrid-time.ts";

/** What differs from message to message. */
export type EnvelopeVariables = RareFields & {
  /** May be empty, which is not the same as none. */
  readonly key?: string | undefined;
  /** When the producer accepted it. */
  readonly time: HybridTime;
  readonly payload: Uint8Array;
};

/** Writes all of an envelope but what its template says; returns how many bytes it took. */
export const writeRest = (writer: ByteWriter, fields: EnvelopeVariables): number => {
  const start = writer.position;
  const { key, payload } = fields;
  const payloadBytes = payload.length;
  writer.ensure(33 + payloadBytes);
  let buffer = writer.buffer;
  buffer[start] = 0x21;
  let at = putTime(buffer, start + 1, fields.time);
  if (key !== undefined) {
    buffer[at++] = 0x1a;
    writer.position = at;
    writer.string(key);
    at = writer.position;
  }
  if (hasRareFields(fields)) {
    writer.position = at;
    writeRareFields(writer, fields);
    at = writer.position;
  }
  if (payloadBytes > 0) {
    writer.position = at;
    writer.ensure(9 + payloadBytes);
    buffer = writer.buffer;
    buffer[at++] = 0x7a;
    at = putVarint(buffer, at, payloadBytes);
    buffer.set(payload, at);
    at += payloadBytes;
  }
  writer.position = at;
  return at - start;
};

/** Upper bound of what `writeRest` takes. */
export const restBytesBound = (fields: EnvelopeVariables): number => {
  const fixed = 9 + fieldBound(fields.payload.length);
  const bound = fields.key === undefined ? fixed : fixed + textBound(fields.key);
  return hasRareFields(fields) ? bound + rareFieldsBound(fields) : bound;
};

/** Hybrid time as a fixed64, byte by byte: no halves passed around. */
const putTime = (buffer: Uint8Array, at: number, time: HybridTime): number => {
  const { ms, counter } = time;
  const high = Math.floor(ms / 65_536);
  const low = ms - high * 65_536;
  buffer[at] = counter;
  buffer[at + 1] = counter >>> 8;
  buffer[at + 2] = low;
  buffer[at + 3] = low >>> 8;
  buffer[at + 4] = high;
  buffer[at + 5] = high >>> 8;
  buffer[at + 6] = high >>> 16;
  buffer[at + 7] = high >>> 24;
  return at + 8;
};
