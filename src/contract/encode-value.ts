/**
 * The producer's side of a contract: a value becomes payload, key and content type.
 *
 * The value is validated and then encoded as given, not as the schema returned it: transforms and
 * defaults are the reader's. A synchronous schema costs no promise. With an asynchronous one the
 * value is encoded before the verdict is waited for, so that a change by the caller meanwhile
 * cannot be sent.
 */
import { MeshError } from "../errors.ts";
import type { Codec } from "./codec.ts";
import type { AnyContract, InputOf, ReplyInputOf } from "./contract.ts";
import type { SchemaResult } from "./standard-schema.ts";
import { accepted, nameOf, type Part, violation, violationOf } from "./violation.ts";

/** Longest key, in UTF-8 bytes. */
export const KEY_BYTES_MAX = 255;

/** What a reply carries. */
export type EncodedReply = { readonly payload: Uint8Array; readonly contentType: string };

export type EncodedValue = EncodedReply & {
  /** Undefined: a message without order. */
  readonly key: string | undefined;
};

/**
 * Validates and encodes a value. `key` overrides what the contract says. A promise is returned only
 * when the schema is asynchronous; it is rejected where a synchronous schema would throw.
 * @throws MeshError SCHEMA_VIOLATION (details.issues: [{ path, message }]), PAYLOAD_TOO_LARGE
 */
export const encodeValue = <C extends AnyContract>(
  contract: C,
  value: InputOf<C>,
  payloadBytesMax: number,
  key?: string,
): EncodedValue | Promise<EncodedValue> => {
  const schema = contract.schema as Codec<unknown, unknown>;
  const verdict = judge("value for", contract, schema, value);
  if (verdict === undefined) return encodeNow(contract, schema, value, payloadBytesMax, key);
  return encodeAndAwait("value for", contract, verdict, () =>
    encodeNow(contract, schema, value, payloadBytesMax, key),
  );
};

/**
 * Validates and encodes what a handler returned.
 * @throws MeshError as `encodeValue`
 */
export const encodeReply = <C extends AnyContract>(
  contract: C,
  value: ReplyInputOf<C>,
  payloadBytesMax: number,
): EncodedReply | Promise<EncodedReply> => {
  const schema = contract.reply as Codec<unknown, unknown>;
  const verdict = judge("reply for", contract, schema, value);
  if (verdict === undefined) return encodeReplyNow(contract, schema, value, payloadBytesMax);
  return encodeAndAwait("reply for", contract, verdict, () =>
    encodeReplyNow(contract, schema, value, payloadBytesMax),
  );
};

/**
 * The key of a value as given, checked; undefined: none. `given` overrides the contract's.
 * @throws MeshError SCHEMA_VIOLATION
 */
export const keyOf = <C extends AnyContract>(
  contract: C,
  value: InputOf<C>,
  given?: string,
): string | undefined => {
  let key = given;
  if (key === undefined && contract.key !== undefined) {
    try {
      key = contract.key(value as never);
    } catch (error) {
      const what = "its key function failed";
      if (contract.schema.hides)
        throw violation("value for", contract, [{ path: "", message: what }]);
      throw violationOf("value for", contract, what, error);
    }
  }
  if (key === undefined || isKey(key)) return key;
  const found = typeof key === "string" ? `${Buffer.byteLength(key)} B` : `a ${typeof key}`;
  const message = `key is ${found}, must be text of 1 to ${KEY_BYTES_MAX} B, or undefined`;
  throw violation("value for", contract, [{ path: "", message }]);
};

const isKey = (key: unknown): boolean =>
  typeof key === "string" &&
  key.length > 0 &&
  key.length <= KEY_BYTES_MAX &&
  (key.length * 3 <= KEY_BYTES_MAX || Buffer.byteLength(key) <= KEY_BYTES_MAX);

/** Throws when the schema refuses the value; undefined: it passed; a promise: not known yet. */
const judge = (
  part: Part,
  contract: AnyContract,
  schema: Codec<unknown, unknown>,
  value: unknown,
): Promise<SchemaResult<unknown>> | undefined => {
  if (schema.validate === undefined) return undefined;
  let verdict: SchemaResult<unknown> | Promise<SchemaResult<unknown>>;
  try {
    verdict = schema.validate(value);
  } catch (error) {
    throw violationOf(part, contract, "its schema failed", error);
  }
  if (isPromise(verdict)) return verdict;
  accepted(part, contract, verdict);
  return undefined;
};

const encodeNow = (
  contract: AnyContract,
  schema: Codec<unknown, unknown>,
  value: unknown,
  payloadBytesMax: number,
  key: string | undefined,
): EncodedValue => {
  const payload = payloadOf("value for", contract, schema, value, payloadBytesMax);
  const contentType = contentTypeOf(schema, value);
  return { payload, contentType, key: keyOf(contract, value as never, key) };
};

const encodeReplyNow = (
  contract: AnyContract,
  schema: Codec<unknown, unknown>,
  value: unknown,
  payloadBytesMax: number,
): EncodedReply => {
  const payload = payloadOf("reply for", contract, schema, value, payloadBytesMax);
  return { payload, contentType: contentTypeOf(schema, value) };
};

const encodeAndAwait = async <Encoded>(
  part: Part,
  contract: AnyContract,
  verdict: Promise<SchemaResult<unknown>>,
  encode: () => Encoded,
): Promise<Encoded> => {
  // This much runs before encodeValue returns. What fails here is thrown after the schema had its
  // say, because a value that breaks its schema often cannot be encoded either.
  let encoded: Encoded | undefined;
  let failure: unknown;
  try {
    encoded = encode();
  } catch (error) {
    failure = error;
  }
  let result: SchemaResult<unknown>;
  try {
    result = await verdict;
  } catch (error) {
    throw violationOf(part, contract, "its schema failed", error);
  }
  accepted(part, contract, result);
  if (failure !== undefined) throw failure;
  return encoded as Encoded;
};

const payloadOf = (
  part: Part,
  contract: AnyContract,
  schema: Codec<unknown, unknown>,
  value: unknown,
  payloadBytesMax: number,
): Uint8Array => {
  let payload: Uint8Array;
  try {
    payload = schema.encode(value);
  } catch (error) {
    throw violationOf(part, contract, "cannot be encoded", error);
  }
  if (payload.length <= payloadBytesMax) return payload;
  const said = `payload ${payload.length} B exceeds payloadBytesMax ${payloadBytesMax}`;
  throw new MeshError("PAYLOAD_TOO_LARGE", `${said} (${part} ${nameOf(contract)})`, {
    details: { payloadBytes: payload.length, payloadBytesMax, subject: contract.subject },
  });
};

const contentTypeOf = (schema: Codec<unknown, unknown>, value: unknown): string =>
  typeof schema.contentType === "string" ? schema.contentType : schema.contentType(value);

/** Of a schema of another realm or library too: whatever has a `then`. */
export const isPromise = <T>(value: T | Promise<T>): value is Promise<T> =>
  typeof (value as { then?: unknown } | null | undefined)?.then === "function";
