/**
 * The consumer's side of a contract: content type, version and payload become the handler's value.
 *
 * A payload is data of another process, perhaps of another release: the version is compared, the
 * bytes are decoded and the value is validated again. The schema's output is what the handler gets.
 * A synchronous schema costs no promise, bytes() costs nothing at all.
 */
import { MeshError } from "../errors.ts";
import type { Codec } from "./codec.ts";
import type { AnyContract, OutputOf, ReplyOutputOf, VersionRange } from "./contract.ts";
import { isPromise } from "./encode-value.ts";
import type { SchemaResult } from "./standard-schema.ts";
import { accepted, nameOf, type Part, violationOf } from "./violation.ts";

/**
 * Decodes and validates a message. A promise is returned only when the schema is asynchronous.
 * `schemaVersion` 0: the producer declared none, and only the schema decides.
 * @throws MeshError CONTRACT_MISMATCH for a version or content type the contract does not read,
 *   SCHEMA_VIOLATION for a payload that is malformed or breaks the schema
 */
export const decodeValue = <C extends AnyContract>(
  contract: C,
  contentType: string,
  schemaVersion: number,
  payload: Uint8Array,
): OutputOf<C> | Promise<OutputOf<C>> => {
  assertReads(contract, contentType, schemaVersion);
  return decodePayload(contract, contentType, payload);
};

/**
 * Whether the contract reads messages of this kind at all.
 * @throws MeshError CONTRACT_MISMATCH
 */
export const assertReads = (
  contract: AnyContract,
  contentType: string,
  schemaVersion: number,
): void => {
  if (!acceptsVersion(contract.accepts, schemaVersion))
    throw versionMismatch(contract, schemaVersion);
  assertContent("payload of", contract, contract.schema, contentType);
};

/** `decodeValue` after `assertReads`. */
export const decodePayload = <C extends AnyContract>(
  contract: C,
  contentType: string,
  payload: Uint8Array,
): OutputOf<C> | Promise<OutputOf<C>> => {
  const schema = contract.schema as Codec<unknown, OutputOf<C>>;
  return decodeWith("payload of", contract, schema, contentType, payload);
};

/**
 * Decodes and validates the answer to a request.
 * @throws MeshError as `decodeValue`
 */
export const decodeReply = <C extends AnyContract>(
  contract: C,
  contentType: string,
  payload: Uint8Array,
): ReplyOutputOf<C> | Promise<ReplyOutputOf<C>> => {
  const schema = contract.reply as Codec<unknown, ReplyOutputOf<C>>;
  assertContent("reply payload of", contract, schema, contentType);
  return decodeWith("reply payload of", contract, schema, contentType, payload);
};

/**
 * Whether a reader of these versions reads that one; 0 on either side declares nothing and fits
 * all.
 */
export const acceptsVersion = ([min, max]: VersionRange, version: number): boolean =>
  version === 0 || max === 0 || (version >= min && version <= max);

const assertContent = (
  part: Part,
  contract: AnyContract,
  { reads }: Pick<Codec<never, unknown>, "reads">,
  contentType: string,
): void => {
  if (reads !== undefined && !reads.includes(contentType)) {
    throw contentMismatch(part, contract, reads, contentType);
  }
};

const decodeWith = <Out>(
  part: Part,
  contract: AnyContract,
  schema: Codec<unknown, Out>,
  contentType: string,
  payload: Uint8Array,
): Out | Promise<Out> => {
  let value: Out;
  let verdict: SchemaResult<Out> | Promise<SchemaResult<Out>>;
  try {
    value = schema.decode(payload, contentType);
  } catch (error) {
    throw violationOf(part, contract, "cannot be decoded", error);
  }
  if (schema.validate === undefined) return value;
  try {
    verdict = schema.validate(value);
  } catch (error) {
    throw violationOf(part, contract, "its schema failed", error);
  }
  return isPromise(verdict)
    ? acceptedLater(part, contract, verdict)
    : accepted(part, contract, verdict);
};

const acceptedLater = async <Out>(
  part: Part,
  contract: AnyContract,
  verdict: Promise<SchemaResult<Out>>,
): Promise<Out> => {
  let result: SchemaResult<Out>;
  try {
    result = await verdict;
  } catch (error) {
    throw violationOf(part, contract, "its schema failed", error);
  }
  return accepted(part, contract, result);
};

const versionMismatch = (contract: AnyContract, schemaVersion: number): MeshError => {
  const [min, max] = contract.accepts;
  const range = min === max ? `version ${min}` : `versions ${min} to ${max}`;
  const given = `message of version ${schemaVersion} for ${nameOf(contract)}`;
  const said = `${given}, whose handler reads ${range}`;
  return new MeshError("CONTRACT_MISMATCH", said, {
    details: { subject: contract.subject, messageVersion: schemaVersion, accepts: [min, max] },
  });
};

const contentMismatch = (
  part: Part,
  contract: AnyContract,
  reads: readonly string[],
  contentType: string,
): MeshError => {
  const shown = contentType.slice(0, 128);
  const read = reads.join('", "');
  const said = `${part} ${nameOf(contract)} is "${shown}", its contract reads "${read}"`;
  return new MeshError("CONTRACT_MISMATCH", said, {
    details: { subject: contract.subject, contentType: shown, reads },
  });
};
