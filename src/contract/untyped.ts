/**
 * Contracts for plain subjects: `node.publish("order.placed", { any: "json" })`.
 *
 * A Uint8Array travels as bytes, everything else as JSON; a reader gets JSON parsed and any other
 * content type as bytes. No version, no key, no check of the shape.
 */
import { assertPattern, assertSubject } from "../core/subject.ts";
import { UNTYPED_CODEC, UNTYPED_REPLY_CODEC } from "./codec.ts";
import type { AnyContract, Contract, ContractKind, VersionRange } from "./contract.ts";
import { define } from "./define-contract.ts";

export type UntypedContract<Kind extends ContractKind> = Contract<
  Kind,
  unknown,
  unknown,
  unknown,
  unknown
>;

const ANY_VERSION: VersionRange = Object.freeze([0, 0] as const);

/** For saying and for listening to one subject. @throws MeshError INVALID_SUBJECT */
export const untyped = <Kind extends ContractKind>(
  subject: string,
  kind: Kind,
): UntypedContract<Kind> => {
  assertSubject(subject);
  return make(subject, kind);
};

/** For listening only: "*" and ">" allowed. @throws MeshError INVALID_SUBJECT */
export const untypedPattern = (pattern: string): UntypedContract<"event"> => {
  assertPattern(pattern);
  return make(pattern, "event");
};

/** True for a contract of this or another copy of the package. */
export const isContract = (value: unknown): value is AnyContract =>
  typeof value === "object" &&
  value !== null &&
  typeof (value as { "~template"?: unknown })["~template"] === "function";

/**
 * The contracts of plain subjects, so that saying the same subject again costs one look-up. Holds
 * at most `max`; when full it forgets all and starts again, which costs time, never correctness.
 */
export class UntypedCache<Kind extends ContractKind> {
  readonly #kind: Kind;
  readonly #max: number;
  readonly #contracts = new Map<string, UntypedContract<Kind>>();

  constructor(kind: Kind, max: number) {
    this.#kind = kind;
    this.#max = max;
  }

  get size(): number {
    return this.#contracts.size;
  }

  /** @throws MeshError INVALID_SUBJECT */
  get(subject: string): UntypedContract<Kind> {
    const known = this.#contracts.get(subject);
    if (known !== undefined) return known;
    const made = untyped(subject, this.#kind);
    if (this.#contracts.size >= this.#max) this.#contracts.clear();
    this.#contracts.set(subject, made);
    return made;
  }
}

const make = <Kind extends ContractKind>(subject: string, kind: Kind): UntypedContract<Kind> =>
  define(kind, subject, {
    version: 0,
    accepts: ANY_VERSION,
    key: undefined,
    retain: undefined,
    schema: UNTYPED_CODEC,
    reply: UNTYPED_REPLY_CODEC,
  });
