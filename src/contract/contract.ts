/**
 * Contracts: what a message is called, what its value looks like, and which messages keep their
 * order.
 *
 * Problem: producer and consumer live in different services and must agree on types without a
 * registry, decorators or generated code. Approach: a contract is a frozen plain value, defined
 * once in a module that both import. Its schema gives two types: what a producer hands in (the
 * schema's input) and what a handler gets (its output), so that transforms and defaults run once,
 * at the reader.
 *
 * Invariants: nothing is registered by defining a contract; a contract made by another copy of the
 * package works, because everything it needs hangs on the value itself.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { EnvelopeTemplate } from "../wire/envelope.ts";
import type { Codec } from "./codec.ts";

export type ContractKind = "event" | "command" | "query";

/** Lowest and highest version, both included. */
export type VersionRange = readonly [min: number, max: number];

/** What stays in the journal after all subscriptions settled, for `from: "earliest"`. */
export type RetainPolicy = {
  /** Milliseconds; 0: nothing stays for its age. */
  readonly ageMs: number;
  /** Bytes; 0: nothing stays. The older goes first. */
  readonly bytes: number;
};

/**
 * What services share about one subject. `In` is what a producer gives and `key` sees, `Out` what a
 * handler gets; `ReplyIn` is what a handler returns, `ReplyOut` what the asker gets.
 */
export type Contract<Kind extends ContractKind, In, Out, ReplyIn, ReplyOut> = {
  readonly kind: Kind;
  readonly subject: string;
  /** 0: none declared. */
  readonly version: number;
  /** Versions a handler reads, both included; [0, 0]: any. */
  readonly accepts: VersionRange;
  readonly key: ((value: In) => string | undefined) | undefined;
  readonly retain: RetainPolicy | undefined;
  readonly schema: Codec<In, Out>;
  readonly reply: Codec<ReplyIn, ReplyOut>;
  /** The constant part of envelopes, made at first use. @internal */
  readonly "~template": (contentType: string) => EnvelopeTemplate;
};

/** A fact, for any number of groups. */
export type EventContract<In, Out = In> = Contract<"event", In, Out, void, void>;
/** An intent, handled by exactly one group. */
export type CommandContract<In, Out = In, ReplyIn = void, ReplyOut = ReplyIn> = Contract<
  "command",
  In,
  Out,
  ReplyIn,
  ReplyOut
>;
/** A question, answered directly. */
export type QueryContract<In, Out, ReplyIn, ReplyOut> = Contract<
  "query",
  In,
  Out,
  ReplyIn,
  ReplyOut
>;

/** Every contract of a kind fits here; its values are known to it alone. */
export type AnyContract<Kind extends ContractKind = ContractKind> = Contract<
  Kind,
  never,
  unknown,
  never,
  unknown
>;

/** What a producer gives. */
export type InputOf<C> =
  C extends Contract<ContractKind, infer In, infer _O, infer _RI, infer _RO> ? In : never;
/** What a handler gets. */
export type OutputOf<C> =
  C extends Contract<ContractKind, infer _I, infer Out, infer _RI, infer _RO> ? Out : never;
/** What a handler returns. */
export type ReplyInputOf<C> =
  C extends Contract<ContractKind, infer _I, infer _O, infer ReplyIn, infer _RO> ? ReplyIn : never;
/** What the asker gets. */
export type ReplyOutputOf<C> =
  C extends Contract<ContractKind, infer _I, infer _O, infer _RI, infer ReplyOut>
    ? ReplyOut
    : never;

/** A Standard Schema (Zod, Valibot, ArkType, ...), or json(), bytes(), protobuf(). */
export type AnySchema = StandardSchemaV1 | Codec<never, unknown>;

export type SchemaInput<S> =
  S extends Codec<infer In, infer _Out>
    ? In
    : S extends StandardSchemaV1
      ? StandardSchemaV1.InferInput<S>
      : never;

export type SchemaOutput<S> =
  S extends Codec<infer _In, infer Out>
    ? Out
    : S extends StandardSchemaV1
      ? StandardSchemaV1.InferOutput<S>
      : never;

type VersionOptions = {
  /**
   * Version of the contract, 1 to 4,294,967,295; default: none. Raise it only when readers of the
   * old version cannot read the new one: another number is another contract.
   */
  readonly version?: number;
  /**
   * Lowest and highest version that handlers of this definition read, `version` among them.
   * Default: `version` only; without a version: any.
   */
  readonly accepts?: VersionRange;
};

export type EventOptions<S extends AnySchema> = VersionOptions & {
  /** Shape of the value. Default: any JSON, unchecked. */
  readonly schema?: S;
  /**
   * Messages with one key keep their order. Gets the value as given; returns 1 to 255 bytes of
   * text, or undefined for a message without order. Default: no key.
   */
  readonly key?: (value: SchemaInput<S>) => string | undefined;
  /** What stays in the journal after all subscriptions settled. Default: the node's `retain`. */
  readonly retain?: Partial<RetainPolicy>;
};

export type CommandOptions<S extends AnySchema, R extends AnySchema> = Omit<
  EventOptions<S>,
  "retain"
> & {
  /** Shape of what the handler returns. Default: nothing is returned. */
  readonly reply?: R;
};

export type QueryOptions<S extends AnySchema, R extends AnySchema> = VersionOptions & {
  /** Shape of the question. Default: any JSON, unchecked. */
  readonly request?: S;
  /** Shape of the answer. Default: any JSON, unchecked. */
  readonly reply?: R;
};
