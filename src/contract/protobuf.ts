/**
 * Contracts whose schema is a protobuf message type.
 *
 * Any code generator's type fits that has `encode(message).finish()` and `decode(bytes)`:
 * protobufjs by reflection or static code, ts-proto. Where the type can check a message (`verify`,
 * protobufjs), it is checked before encoding. Its `fromObject` and `toObject` are not called: they
 * convert, and then what is sent would not be the value as given, nor what is received what the
 * type says. Call them yourself where you want plain objects.
 */
import { CONTENT_PROTOBUF, type Codec, CodecError } from "./codec.ts";

/** What protobuf() needs of a message type: a protobufjs Type or static class, a ts-proto codec. */
export type ProtobufType<In, Out> = {
  encode(message: In): { finish(): Uint8Array };
  decode(bytes: Uint8Array): Out;
  /** Says what is wrong with a message, or null. */
  verify?(message: Record<string, unknown>): string | null;
};

const READS = Object.freeze([CONTENT_PROTOBUF, "application/protobuf"]);

/** A codec of the given message type, for event(), command() and query(). */
export const protobuf = <In, Out>(type: ProtobufType<In, Out>): Codec<In, Out> => {
  const encode = (value: In): Uint8Array => {
    if (typeof value !== "object" || value === null) {
      throw new CodecError("", "must be a message object");
    }
    const problem = type.verify?.(value as Record<string, unknown>);
    if (typeof problem === "string") throw new CodecError(...splitVerdict(problem));
    return type.encode(value).finish();
  };
  return Object.freeze({
    "~codec": 1,
    contentType: CONTENT_PROTOBUF,
    reads: READS,
    encode,
    decode: (payload: Uint8Array) => type.decode(payload),
    validate: undefined,
  });
};

/** protobufjs says "items.sku: string expected". */
const splitVerdict = (verdict: string): [path: string, message: string] => {
  const parts = /^([\w.]+): (.+)$/s.exec(verdict);
  return parts === null ? ["", verdict] : [parts[1] ?? "", parts[2] ?? verdict];
};
