/**
 * encrypted(): a schema some of whose fields only holders of keys can read.
 *
 * Problem: a message with personal data lies in journals, dead letters and backups of many hosts, and may
 * be asked to be forgotten. Approach: named fields are sealed one by one before a value is encoded, and
 * opened after it was decoded and before the schema sees it; everything between holds ciphertext. A key
 * belongs to the subject of the messages, or to the person a message is about; when it is destroyed, every
 * copy of what it sealed is, wherever it lies.
 *
 * Invariants: what is declared encrypted never leaves plain, and never is taken plain (`acceptPlain`
 * apart); no error, issue or cause says what a sealed field holds; a field whose key was destroyed reads
 * as an ErasedField and nothing fails for it.
 * Limits: the length of a sealed field shows, as do the other fields, the key of the message and its headers. A
 * schema's transforms do not run for a message with an erased field that the schema refuses.
 */
import { MeshError } from "../errors.ts";
import type { FieldKeys } from "../ports/field-keys.ts";
import { CONTENT_JSON, type Codec, CodecError, decodeJson, encodeJson } from "./codec.ts";
import type { AnySchema, SchemaInput, SchemaOutput } from "./contract.ts";
import { changeAt, type FieldPath, parseFieldPath, touches } from "./field-path.ts";
import { newSalt, openBytes, readSealedHead, sealBytes } from "./sealed-bytes.ts";
import { isStandardSchema, type SchemaResult, validatorOf } from "./standard-schema.ts";

/** The one member of what stands in the place of a sealed field in JSON. */
const MARK = "$encrypted";
const FIELDS_MAX = 64;
const NAME_BYTES_MAX = 255;
/** Texts that are looked for in an error. */
const TEXTS_MAX = 256;
const HIDDEN = "is refused (what is said of an encrypted field is not shown)";

export type EncryptedOptions<In> = {
  /** Paths of the fields, 1 to 64: "name", "address.street", "items.*.note". */
  readonly fields: readonly string[];
  /** Where the keys are. A function is asked at each message, so that contracts can be shared as plain values. */
  readonly keys: FieldKeys | (() => FieldKeys | undefined);
  /** Whom a value is about: their key seals it. Default: one key for all messages of the subject. */
  readonly subjectOf?: (value: In) => string;
  /** Whether fields that came plain are taken, while producers change over. Default false. */
  readonly acceptPlain?: boolean;
};

/** Stands in the place of a field that cannot be read any more, or not here. */
export class ErasedField {
  /** "erased": its key was destroyed. "no keys": this process has no key ring. */
  readonly reason: "erased" | "no keys";
  constructor(reason: ErasedField["reason"]) {
    this.reason = reason;
    Object.freeze(this);
  }

  toString(): string {
    return "[erased]";
  }

  toJSON(): string {
    return "[erased]";
  }
}

export const isErased = (value: unknown): value is ErasedField => value instanceof ErasedField;

/** @throws MeshError INVALID_OPTIONS */
export const encrypted = <S extends AnySchema>(
  schema: S,
  options: EncryptedOptions<SchemaInput<S>>,
): Codec<SchemaInput<S>, SchemaOutput<S>> => {
  const inner = jsonPartOf(schema);
  const { fields, keys, subjectOf, acceptPlain = false } = options;
  if (!Array.isArray(fields) || fields.length < 1 || fields.length > FIELDS_MAX) {
    throw invalid(`fields must be a list of 1 to ${FIELDS_MAX} paths`);
  }
  if (typeof keys !== "function" && typeof keys?.sealing !== "function") {
    throw invalid("keys must be a key ring, or a function that gives one");
  }
  if (subjectOf !== undefined && typeof subjectOf !== "function") {
    throw invalid("subjectOf must be a function");
  }
  const sealer = {
    paths: fields.map(parseFieldPath),
    keysOf: typeof keys === "function" ? keys : () => keys,
    subjectOf: subjectOf as ((value: unknown) => string) | undefined,
    acceptPlain,
    validate: inner,
  };
  return sealingCodec(sealer, "") as unknown as Codec<SchemaInput<S>, SchemaOutput<S>>;
};

type Sealer = {
  readonly paths: readonly FieldPath[];
  readonly keysOf: () => FieldKeys | undefined;
  readonly subjectOf: ((value: unknown) => string) | undefined;
  readonly acceptPlain: boolean;
  readonly validate: Codec<unknown, unknown>["validate"];
};

const sealingCodec = (sealer: Sealer, place: string): Codec<unknown, unknown> =>
  Object.freeze({
    "~codec": 1,
    contentType: CONTENT_JSON,
    reads: READS,
    encode: (value: unknown) =>
      hiding("cannot be encoded", () => encodeJson(seal(sealer, place, value))),
    decode: (payload: Uint8Array) =>
      hiding("cannot be decoded", () => open(sealer, place, decodeJson(payload))),
    validate: sealer.validate && ((value: unknown) => judge(sealer, value)),
    hides: (value: unknown) => textsAt(sealer, value),
    // A field is bound to its contract, which is known when the contract is defined.
    "~at": (name: string) => sealingCodec(sealer, name),
  });

const READS = Object.freeze([CONTENT_JSON]);

/** What JSON or a value's own methods throw may quote the value. */
const hiding = <T>(what: string, act: () => T): T => {
  try {
    return act();
  } catch (error) {
    if (error instanceof CodecError || MeshError.is(error)) throw error;
    throw new CodecError("", what);
  }
};

const seal = (sealer: Sealer, place: string, value: unknown): unknown => {
  const keys = sealer.keysOf();
  if (keys === undefined)
    throw new CodecError("", "has fields to encrypt, and there is no key ring");
  const key = keys.sealing(nameOf(sealer, place, value));
  const salt = newSalt();
  return sealer.paths.reduce(
    (whole, path) =>
      changeAt(whole, path, (field, at) => {
        const plain = encodeJson(field);
        const sealed = sealBytes(key, salt, `${place}\0${at}`, plain);
        return { [MARK]: Buffer.from(sealed).toString("base64url") };
      }),
    value,
  );
};

/** Names of keys for persons and for subjects are told apart. */
const nameOf = ({ subjectOf }: Sealer, place: string, value: unknown): string => {
  if (subjectOf === undefined) return `contract:${place}`;
  let name: unknown;
  try {
    name = subjectOf(value);
  } catch {
    throw new CodecError("", "subjectOf failed");
  }
  if (typeof name === "string" && name !== "" && Buffer.byteLength(name) <= NAME_BYTES_MAX)
    return name;
  throw new CodecError("", `subjectOf must give text of 1 to ${NAME_BYTES_MAX} B`);
};

const open = (sealer: Sealer, place: string, value: unknown): unknown => {
  const keys = sealer.keysOf();
  let salt: Uint8Array | undefined;
  const openOne = (field: unknown, at: string): unknown => {
    const sealed = sealedOf(field);
    if (sealed === undefined) {
      if (sealer.acceptPlain) return field;
      throw new CodecError(at, "came plain, and is to be encrypted");
    }
    const head = readSealedHead(sealed);
    if (head === undefined) throw new CodecError(at, "is not encrypted as it should be");
    salt ??= head.salt;
    if (Buffer.compare(salt, head.salt) !== 0) throw new CodecError(at, "is of another message");
    if (keys === undefined) return new ErasedField("no keys");
    return openAt(keys, place, at, sealed);
  };
  return sealer.paths.reduce((whole, path) => changeAt(whole, path, openOne), value);
};

const openAt = (keys: FieldKeys, place: string, at: string, sealed: Uint8Array): unknown => {
  try {
    const plain = openBytes(keys, `${place}\0${at}`, sealed);
    return plain === "erased" ? new ErasedField("erased") : decodeJson(plain);
  } catch (error) {
    throw new CodecError(at, error instanceof CodecError ? error.message : "cannot be opened");
  }
};

/** The texts at the encrypted fields of a plain value, those inside objects and lists too. */
const textsAt = ({ paths }: Sealer, value: unknown): string[] => {
  const texts: string[] = [];
  const collect = (field: unknown): void => {
    if (typeof field === "string") texts.push(field);
    else if (typeof field === "number") texts.push(String(field));
    else if (typeof field === "object" && field !== null && !isErased(field)) {
      for (const each of Object.values(field)) if (texts.length < TEXTS_MAX) collect(each);
    }
  };
  for (const path of paths) {
    changeAt(value, path, (field) => {
      collect(field);
      return field;
    });
  }
  return texts;
};

const sealedOf = (field: unknown): Uint8Array | undefined => {
  if (typeof field !== "object" || field === null) return undefined;
  const names = Object.keys(field);
  const text = (field as Readonly<Record<string, unknown>>)[MARK];
  if (names.length !== 1 || typeof text !== "string") return undefined;
  return Buffer.from(text, "base64url");
};

const judge = (
  sealer: Sealer,
  value: unknown,
): SchemaResult<unknown> | Promise<SchemaResult<unknown>> => {
  let verdict: SchemaResult<unknown> | Promise<SchemaResult<unknown>> | undefined;
  try {
    verdict = sealer.validate?.(value);
  } catch {
    // What a schema throws may hold the value.
    throw new CodecError("", "its schema failed");
  }
  if (verdict === undefined) return { value };
  if (!("then" in verdict)) return shown(sealer, value, verdict);
  return verdict.then(
    (result) => shown(sealer, value, result),
    () => {
      throw new CodecError("", "its schema failed");
    },
  );
};

/** The verdict without what it says of sealed fields; erased fields are no fault of a value. */
const shown = (
  { paths }: Sealer,
  value: unknown,
  result: SchemaResult<unknown>,
): SchemaResult<unknown> => {
  if (result.issues === undefined) return result;
  const left = result.issues.filter(({ path }) => !isErasedAt(value, stepsOf(path)));
  if (left.length === 0) return { value };
  const issues = left.map((issue) => {
    const at = stepsOf(issue.path);
    const isSealed = paths.some((path) => touches(path, at));
    return isSealed ? { message: HIDDEN, path: at } : issue;
  });
  return { issues };
};

type IssuePath = NonNullable<SchemaResult<unknown>["issues"]>[number]["path"];

const stepsOf = (path: IssuePath): string[] =>
  (path ?? []).map((step) => String(typeof step === "object" ? step.key : step));

/** Whether an erased field is at this place, or on the way to it. */
const isErasedAt = (value: unknown, at: readonly string[]): boolean => {
  let field = value;
  for (const step of at) {
    if (isErased(field)) return true;
    if (typeof field !== "object" || field === null || !Object.hasOwn(field, step)) return false;
    field = (field as Readonly<Record<string, unknown>>)[step];
  }
  return isErased(field);
};

/** Only what travels as JSON has fields that can be found by path. */
const jsonPartOf = (schema: unknown): Codec<unknown, unknown>["validate"] => {
  if (isStandardSchema(schema)) return validatorOf(schema);
  const codec = schema as Partial<Codec<unknown, unknown>> | undefined;
  if (codec?.["~codec"] === 1 && codec.contentType === CONTENT_JSON && codec.hides === undefined) {
    return codec.validate;
  }
  throw invalid(
    "takes a Standard Schema or json(); for protobuf seal a bytes field (docs/encryption.md)",
  );
};

const invalid = (message: string): MeshError =>
  new MeshError("INVALID_OPTIONS", `encrypted(): ${message}`);
