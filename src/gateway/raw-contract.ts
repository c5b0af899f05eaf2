/**
 * Contracts for payloads that are bytes already: what a client sent is passed on as it is, and what was
 * published by anybody is handed to it as it came, each with its content type.
 *
 * Only JSON is looked at, on its way in: text that says it is JSON and is not would be unreadable for every
 * typed consumer, so it is refused before it is accepted.
 *
 * Bound: `CONTRACTS_MAX` contracts are remembered; when full all are forgotten, which costs time only.
 */
import { isUtf8 } from "node:buffer";
import { CONTENT_JSON, type Codec, CodecError } from "../contract/codec.ts";
import type { AnyContract, VersionRange } from "../contract/contract.ts";
import { command, define, event, query } from "../contract/define-contract.ts";
import { assertPattern, assertSubject } from "../core/subject.ts";
import { MeshError } from "../errors.ts";

/** A payload with what it is. */
export type Raw = { readonly contentType: string; readonly payload: Uint8Array };

type Kind = "event" | "command" | "query";

const CONTRACTS_MAX = 4_096;
const CONTENT_TYPE = /^[\x21-\x7e]{1,128}$/;

export class RawContracts {
  readonly #known = new Map<string, AnyContract>();

  /** To say something with. @throws MeshError INVALID_SUBJECT, INVALID_OPTIONS */
  get<K extends Kind>(
    kind: K,
    subject: string,
    contentType: string,
    version: number,
  ): AnyContract<K> {
    const name = `${kind} ${version} ${contentType} ${subject}`;
    let contract = this.#known.get(name);
    if (contract === undefined) {
      contract = make(kind, subject, contentType, version);
      if (this.#known.size >= CONTRACTS_MAX) this.#known.clear();
      this.#known.set(name, contract);
    }
    return contract as AnyContract<K>;
  }
}

/** To listen with. @throws MeshError INVALID_SUBJECT, INVALID_OPTIONS */
export const rawListening = <K extends Kind>(
  kind: K,
  pattern: string,
  accepts: VersionRange,
): AnyContract<K> => {
  if (kind === "event") assertPattern(pattern);
  else assertSubject(pattern);
  const [min, max] = accepts;
  if (min > max) {
    const message = `version_min ${min} is above version_max ${max}`;
    throw new MeshError("INVALID_OPTIONS", message);
  }
  const schema = codecOf((value) => value.contentType);
  return define(kind, pattern, {
    version: 0,
    accepts,
    key: undefined,
    retain: undefined,
    schema,
    reply: codecOf((value) => value.contentType, true),
  }) as unknown as AnyContract<K>;
};

/** The bytes of a client's message. */
export const rawOf = (contentType: string | undefined, payload: Uint8Array | undefined): Raw => ({
  contentType: contentType === undefined || contentType === "" ? CONTENT_JSON : contentType,
  payload: payload ?? NOTHING,
});

const NOTHING = new Uint8Array(0);

const make = (kind: Kind, subject: string, contentType: string, version: number): AnyContract => {
  if (!CONTENT_TYPE.test(contentType)) {
    const shown = JSON.stringify(contentType.slice(0, 80));
    const message = `content_type is ${shown}, must be 1 to 128 visible ASCII characters`;
    throw new MeshError("INVALID_OPTIONS", message);
  }
  const schema = codecOf(contentType);
  const options = { schema, ...(version === 0 ? {} : { version }) };
  if (kind === "event") return event(subject, options) as unknown as AnyContract;
  if (kind === "command") return command(subject, options) as unknown as AnyContract;
  const { schema: request, ...rest } = options;
  return query(subject, { request, reply: schema, ...rest }) as unknown as AnyContract;
};

/** `mayBeNothing`: an answer without a value is empty. */
const codecOf = (
  contentType: Codec<Raw, Raw>["contentType"],
  mayBeNothing = false,
): Codec<Raw, Raw> => ({
  "~codec": 1,
  contentType,
  reads: undefined,
  encode: (value) => {
    const isNothing = mayBeNothing && value.payload.length === 0;
    if (value.contentType === CONTENT_JSON && !isNothing) checkJson(value.payload);
    return value.payload;
  },
  decode: (payload, type) => ({ contentType: type, payload }),
  validate: undefined,
});

const checkJson = (payload: Uint8Array): void => {
  if (!isUtf8(payload)) throw new CodecError("", "is not UTF-8");
  JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString());
};
