/**
 * Codecs: values to payload bytes and back.
 *
 * Problem: payloads are JSON mostly, bytes or protobuf sometimes, and both ways run once per
 * message.
 * Approach: a codec is a frozen record of functions; it throws whatever it likes, and the caller
 * (encode-value, decode-value) makes one kind of error of it. Bytes pass through untouched. JSON
 * text is read from the received bytes without copying them first; whether they were UTF-8 is
 * looked at only when the text gives reason to.
 *
 * Rejected: reading plain ASCII as Latin-1 (on Node 20 no faster than UTF-8, and the check costs
 * more).
 *
 * Invariants: a codec keeps nothing between calls; `decode` never reads outside the bytes given.
 * Source: RFC 8259 (JSON; section 8.1: UTF-8).
 */
import { isUtf8 } from "node:buffer";
import { jsonProblem } from "./json-problem.ts";
import type { SchemaResult } from "./standard-schema.ts";

export const CONTENT_JSON = "application/json";
export const CONTENT_BYTES = "application/octet-stream";
export const CONTENT_PROTOBUF = "application/x-protobuf";

/**
 * How values of one contract become bytes and bytes become values. Made by json(), bytes(),
 * protobuf().
 */
export type Codec<In, Out> = {
  /** Tells a codec from a schema, also one that another copy of the package made. */
  readonly "~codec": 1;
  /** What `encode` makes; a function where it depends on the value. */
  readonly contentType: string | ((value: In) => string);
  /** Content types that `decode` understands; undefined: all. */
  readonly reads: readonly string[] | undefined;
  readonly encode: (value: In) => Uint8Array;
  readonly decode: (payload: Uint8Array, contentType: string) => Out;
  /** Checks a value before `encode` and after `decode`; undefined: nothing to check. */
  readonly validate:
    | ((value: unknown) => SchemaResult<Out> | Promise<SchemaResult<Out>>)
    | undefined;
  /** Where a value has what must not be shown: the texts of it, to be kept out of errors. @internal */
  readonly hides?: (value: unknown) => string[];
  /** The codec for one contract, by its name: what it makes is bound to it. @internal */
  readonly "~at"?: (name: string) => Codec<In, Out>;
};

/** A value that a codec refuses, with the place inside it. */
export class CodecError extends Error {
  override readonly name = "CodecError";
  /** Dotted path inside the value; empty for the value itself. */
  readonly path: string;
  constructor(path: string, message: string) {
    super(message);
    this.path = path;
  }
}

/**
 * JSON without a check of its shape: `T` is believed, not verified. What JSON cannot say is refused
 * (undefined, a function or a symbol as the whole value, a BigInt or a cycle anywhere); inside a
 * value the rules of JSON.stringify hold: properties that are undefined are left out, NaN becomes
 * null.
 */
export const json = <T = unknown>(): Codec<T, T> => JSON_CODEC as Codec<T, T>;

/**
 * Bytes as they are. Nothing is copied either way: the handler's bytes are a view of the frame or
 * block they came in and keep it alive, so whoever holds them for long copies them.
 */
export const bytes = (): Codec<Uint8Array, Uint8Array> => BYTES_CODEC;

export const isBytes = (value: unknown): value is Uint8Array =>
  value instanceof Uint8Array ||
  // A Uint8Array of another realm (a vm context).
  (ArrayBuffer.isView(value) && Object.prototype.toString.call(value) === "[object Uint8Array]");

export const encodeJson = (value: unknown): Uint8Array => {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    const problem = jsonProblem(value);
    if (problem === undefined) throw error;
    throw new CodecError(problem.path, problem.message);
  }
  if (text === undefined) throw new CodecError("", `${typeof value} has no JSON form`);
  return Buffer.from(text, "utf8");
};

export const decodeJson = (payload: Uint8Array): unknown => {
  const buffer = Buffer.isBuffer(payload)
    ? payload
    : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  const text = buffer.toString("utf8");
  // Broken sequences became U+FFFD silently; a text without it was whole.
  if (text.includes(REPLACEMENT) && !isUtf8(buffer)) throw new CodecError("", "is not UTF-8");
  return JSON.parse(text);
};

const REPLACEMENT = "\ufffd";

const codec = <In, Out>(
  contentType: Codec<In, Out>["contentType"],
  reads: Codec<In, Out>["reads"],
  encode: Codec<In, Out>["encode"],
  decode: Codec<In, Out>["decode"],
): Codec<In, Out> =>
  Object.freeze({ "~codec": 1, contentType, reads, encode, decode, validate: undefined });

const encodeBytes = (value: unknown): Uint8Array => {
  if (!isBytes(value)) throw new CodecError("", "must be a Uint8Array");
  return value;
};

const encodeEither = (value: unknown): Uint8Array => (isBytes(value) ? value : encodeJson(value));

const decodeEither = (payload: Uint8Array, contentType: string): unknown =>
  contentType === CONTENT_JSON ? decodeJson(payload) : payload;

const contentTypeOfEither = (value: unknown): string =>
  isBytes(value) ? CONTENT_BYTES : CONTENT_JSON;

const JSON_CODEC = codec<unknown, unknown>(
  CONTENT_JSON,
  Object.freeze([CONTENT_JSON]),
  encodeJson,
  decodeJson,
);

const BYTES_CODEC = codec<Uint8Array, Uint8Array>(
  CONTENT_BYTES,
  Object.freeze([CONTENT_BYTES]),
  encodeBytes,
  (payload) => payload,
);

/** For subjects without a contract: a Uint8Array travels as bytes, everything else as JSON. */
export const UNTYPED_CODEC = codec<unknown, unknown>(
  contentTypeOfEither,
  undefined,
  encodeEither,
  decodeEither,
);

/** The same for replies, where nothing at all is an answer too: an empty payload. */
export const UNTYPED_REPLY_CODEC = codec<unknown, unknown>(
  contentTypeOfEither,
  undefined,
  (value) => (value === undefined ? EMPTY : encodeEither(value)),
  (payload, contentType) =>
    contentType === CONTENT_JSON && payload.length === 0
      ? undefined
      : decodeEither(payload, contentType),
);

/** For contracts without a reply: nothing goes back, whatever the handler returned. */
export const VOID_CODEC = codec<void, void>(
  CONTENT_JSON,
  undefined,
  () => EMPTY,
  () => undefined,
);

const EMPTY = new Uint8Array(0);
