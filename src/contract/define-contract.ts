/**
 * event(), command() and query(): options in, frozen contract out.
 *
 * Everything that can be decided once is decided here: the subject and the options are checked, the
 * schema becomes a codec, and the constant part of envelopes is remembered once it was needed.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { type EnvelopeKind, EnvelopeTemplate } from "../wire/envelope.ts";
import { CONTENT_JSON, type Codec, decodeJson, encodeJson, json, VOID_CODEC } from "./codec.ts";
import type {
  AnySchema,
  CommandContract,
  CommandOptions,
  Contract,
  ContractKind,
  EventContract,
  EventOptions,
  QueryContract,
  QueryOptions,
  SchemaInput,
  SchemaOutput,
} from "./contract.ts";
import { checkContractOptions } from "./contract-options.ts";
import { isStandardSchema, validatorOf } from "./standard-schema.ts";

const KIND_CODES: Readonly<Record<ContractKind, EnvelopeKind>> = Object.freeze({
  event: 0,
  command: 1,
  query: 2,
});
const READS_JSON = Object.freeze([CONTENT_JSON]);

/**
 * A fact in the past tense, for any number of groups: `event("order.placed", { schema, key })`.
 * @throws MeshError INVALID_SUBJECT, INVALID_OPTIONS
 */
export const event = <S extends AnySchema = Codec<unknown, unknown>>(
  subject: string,
  options: EventOptions<S> = {},
): EventContract<SchemaInput<S>, SchemaOutput<S>> => {
  const checked = checkContractOptions("event", subject, options);
  return define("event", subject, {
    ...checked,
    key: options.key,
    schema: codecOf<S>(options.schema),
    reply: VOID_CODEC,
  });
};

/**
 * An intent that exactly one group in the mesh handles: `command("inventory.reserve", { schema, key
 * })`.
 * @throws MeshError INVALID_SUBJECT, INVALID_OPTIONS
 */
export const command = <
  S extends AnySchema = Codec<unknown, unknown>,
  R extends AnySchema = Codec<void, void>,
>(
  subject: string,
  options: CommandOptions<S, R> = {},
): CommandContract<SchemaInput<S>, SchemaOutput<S>, SchemaInput<R>, SchemaOutput<R>> => {
  const checked = checkContractOptions("command", subject, options);
  const nothing = VOID_CODEC as unknown as Codec<SchemaInput<R>, SchemaOutput<R>>;
  return define("command", subject, {
    ...checked,
    key: options.key,
    schema: codecOf<S>(options.schema),
    reply: options.reply === undefined ? nothing : codecOf<R>(options.reply),
  });
};

/**
 * A question that some live handler answers directly: `query("pricing.quote", { request, reply })`.
 * @throws MeshError INVALID_SUBJECT, INVALID_OPTIONS
 */
export const query = <
  S extends AnySchema = Codec<unknown, unknown>,
  R extends AnySchema = Codec<unknown, unknown>,
>(
  subject: string,
  options: QueryOptions<S, R> = {},
): QueryContract<SchemaInput<S>, SchemaOutput<S>, SchemaInput<R>, SchemaOutput<R>> => {
  const checked = checkContractOptions("query", subject, options);
  return define("query", subject, {
    ...checked,
    key: undefined,
    schema: codecOf<S>(options.request),
    reply: codecOf<R>(options.reply),
  });
};

/** Makes the frozen value; `subject` may be a pattern where nothing is ever published. */
export const define = <Kind extends ContractKind, In, Out, ReplyIn, ReplyOut>(
  kind: Kind,
  subject: string,
  parts: Omit<Contract<Kind, In, Out, ReplyIn, ReplyOut>, "kind" | "subject" | "~template">,
): Contract<Kind, In, Out, ReplyIn, ReplyOut> =>
  Object.freeze({
    kind,
    subject,
    version: parts.version,
    accepts: parts.accepts,
    key: parts.key,
    retain: parts.retain,
    schema: boundTo(parts.schema, subject),
    reply: boundTo(parts.reply, `${subject} reply`),
    "~template": templateCache(subject, kind, parts.version),
  });

/** What is encrypted for one contract is not to be read as another's. */
const boundTo = <In, Out>(codec: Codec<In, Out>, name: string): Codec<In, Out> =>
  codec["~at"]?.(name) ?? codec;

const codecOf = <S extends AnySchema>(
  schema: S | undefined,
): Codec<SchemaInput<S>, SchemaOutput<S>> => {
  const made =
    schema === undefined ? json() : isStandardSchema(schema) ? jsonCodecOf(schema) : schema;
  return made as unknown as Codec<SchemaInput<S>, SchemaOutput<S>>;
};

const jsonCodecOf = (schema: StandardSchemaV1): Codec<unknown, unknown> =>
  Object.freeze({
    "~codec": 1,
    contentType: CONTENT_JSON,
    reads: READS_JSON,
    encode: encodeJson,
    decode: decodeJson,
    validate: validatorOf(schema),
  });

/** One template per content type: two at most, because codecs make no more. */
const templateCache = (
  subject: string,
  kind: ContractKind,
  schemaVersion: number,
): ((contentType: string) => EnvelopeTemplate) => {
  let lastType = "";
  let last: EnvelopeTemplate | undefined;
  const others = new Map<string, EnvelopeTemplate>();
  return (contentType) => {
    if (last !== undefined && contentType === lastType) return last;
    let template = others.get(contentType);
    if (template === undefined) {
      template = new EnvelopeTemplate({
        subject,
        kind: KIND_CODES[kind],
        contentType,
        schemaVersion,
      });
      others.set(contentType, template);
    }
    last = template;
    lastType = contentType;
    return template;
  };
};
