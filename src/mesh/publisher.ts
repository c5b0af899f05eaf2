/**
 * From a value to an accepted message: validate, encode, wait for room, append, wait for the sync.
 *
 * Problem: order is the order of the calls, although validation may be asynchronous and room may have to be
 * waited for. Approach: the common call is synchronous up to the append; a call that must wait makes later
 * calls of its key wait behind it, and nobody else.
 */
import type { AnyContract } from "../contract/contract.ts";
import { type EncodedValue, encodeValue, keyOf } from "../contract/encode-value.ts";
import { isContract, UntypedCache } from "../contract/untyped.ts";
import { MeshError } from "../errors.ts";
import {
  type PublishOptions,
  type ResolvedPublishOptions,
  resolvePublishOptions,
} from "../options/publish-options.ts";
import type { StagedMessage } from "../runtime/consumer/staged-message.ts";
import type { Environment } from "../runtime/environment.ts";
import type { Journal } from "../runtime/journal/journal.ts";
import type { Outgoing } from "../runtime/producer/acceptance.ts";
import type { EmitVerdict } from "../runtime/producer/emitter.ts";
import { Idempotency } from "../runtime/producer/idempotency.ts";
import type { Producer } from "../runtime/producer/producer.ts";
import { envelopeOf } from "../wire/envelope.ts";
import { CallOrder } from "./call-order.ts";
import { roomFor } from "./journal-room.ts";
import { PlainMessage } from "./plain-message.ts";
import { type Cause, isPlain, rareOf } from "./rare-fields.ts";
import { Receipt } from "./receipt.ts";

export type PublisherOptions = {
  readonly env: Environment;
  readonly journal: Journal;
  readonly producer: Producer;
  readonly whenFull: "wait" | "reject";
  readonly idempotencyMs: number;
  readonly idempotencyKeysMax: number;
};

type Kind = "event" | "command";

const SUBJECTS_CACHED = 4_096;
/** Bytes a message takes beside its payload, for asking whether there is room. */
const OVERHEAD = 256;

export class Publisher {
  readonly #env: Environment;
  readonly #journal: Journal;
  readonly #producer: Producer;
  readonly #whenFull: "wait" | "reject";
  readonly #idempotency: Idempotency;
  readonly #untyped = {
    event: new UntypedCache("event", SUBJECTS_CACHED),
    command: new UntypedCache("command", SUBJECTS_CACHED),
  };
  readonly #order = new CallOrder();
  stopped = false;

  constructor(options: PublisherOptions) {
    this.#env = options.env;
    this.#journal = options.journal;
    this.#producer = options.producer;
    this.#whenFull = options.whenFull;
    const { idempotencyMs, idempotencyKeysMax, journal } = options;
    this.#idempotency = new Idempotency(
      journal,
      journal.committer,
      idempotencyMs,
      idempotencyKeysMax,
    );
  }

  accept(
    kind: Kind,
    contract: AnyContract | string,
    value: unknown,
    given: PublishOptions | undefined,
  ): Promise<Receipt> {
    try {
      this.#checkOpen();
      const known = this.#allowed(kind, contract);
      const options = resolvePublishOptions(given, kind === "event" ? "publish" : "send");
      options.signal?.throwIfAborted();
      const encoded = this.#encode(known, value, options);
      if (this.#order.isClear && !(encoded instanceof Promise)) {
        if (this.#journal.hasRoom(encoded.payload.length + OVERHEAD)) {
          return this.#append(known, encoded, options);
        }
      }
      return this.#appendLater(known, value, encoded, options);
    } catch (error) {
      return Promise.reject(abortError(error));
    }
  }

  /** All or none, in one block. */
  async acceptMany(
    contract: AnyContract | string,
    values: readonly unknown[],
    given: PublishOptions | undefined,
  ): Promise<Receipt[]> {
    try {
      this.#checkOpen();
      const known = this.#allowed("event", contract);
      const options = resolvePublishOptions(given, "publish");
      if (options.delayMs > 0 || options.idempotencyKey !== undefined || options.id !== undefined) {
        const message = "publishMany takes no delayMs, idempotencyKey or id: they name one message";
        throw new MeshError("INVALID_OPTIONS", message);
      }
      options.signal?.throwIfAborted();
      if (values.length === 0) return [];
      const encoded = values.map((value) => this.#encode(known, value, options));
      if (this.#order.isClear && isReady(encoded) && this.#journal.hasRoom(bytesOf(encoded))) {
        return await this.#appendMany(known, encoded, options);
      }
      const keys = values.map((value) => this.#hashOf(keyOf(known, value as never, options.key)));
      const all = Promise.all(encoded);
      all.catch(() => {}); // reported when its turn has come
      const { receipts } = await this.#order.run(keys, async () => {
        const ready = await all;
        await this.#room(bytesOf(ready), options.signal);
        return { receipts: this.#appendMany(known, ready, options) };
      });
      return await receipts;
    } catch (error) {
      throw abortError(error);
    }
  }

  emit(
    contract: AnyContract | string,
    value: unknown,
    given: PublishOptions | undefined,
  ): EmitVerdict {
    this.#checkOpen();
    const known = this.#allowed("event", contract);
    const options = resolvePublishOptions(given, "emit");
    const encoded = this.#encode(known, value, options);
    if (encoded instanceof Promise) {
      encoded.catch(() => {});
      throw new MeshError("INVALID_OPTIONS", `emit needs a synchronous schema: ${known.subject}`);
    }
    const { payload, contentType, key } = encoded;
    const time = this.#env.hybrid.now(this.#env.clock.wallMs());
    const template = known["~template"](contentType);
    const variables = isPlain(options)
      ? { key, time, payload }
      : { key, time, payload, ...rareOf(options, undefined) };
    return this.#producer.emit(known.subject, this.#hashOf(key), template, variables);
  }

  /** What a handler sends: encoded now, appended when its message's settle is accepted. */
  stage(
    kind: Kind,
    contract: AnyContract | string,
    value: unknown,
    given: PublishOptions | undefined,
    cause: Cause,
  ): StagedMessage | Promise<StagedMessage> {
    const known = this.#allowed(kind, contract);
    const options = resolvePublishOptions(given, kind === "event" ? "publish" : "send");
    const encoded = this.#encode(known, value, options);
    const staged = ({ payload, contentType, key }: EncodedValue): StagedMessage => ({
      kind,
      subject: known.subject,
      keyHash: this.#hashOf(key),
      expireAfterMs: options.expireAfterMs ?? -1,
      delayMs: options.delayMs,
      envelope: envelopeOf(known["~template"](contentType), {
        key,
        time: this.#env.hybrid.now(this.#env.clock.wallMs()),
        payload,
        ...rareOf(options, cause),
      }),
    });
    return encoded instanceof Promise ? encoded.then(staged) : staged(encoded);
  }

  /** @throws MeshError INVALID_SUBJECT, INVALID_OPTIONS when the contract is of another kind */
  contractOf(kind: Kind, contract: AnyContract | string): AnyContract {
    if (typeof contract === "string") return this.#untyped[kind].get(contract) as AnyContract;
    if (!isContract(contract)) {
      throw new MeshError("INVALID_OPTIONS", "expected a contract or a subject");
    }
    if (contract.kind !== kind) {
      const verb = kind === "event" ? "publish" : "send";
      throw new MeshError(
        "INVALID_OPTIONS",
        `${verb} takes a ${kind}, "${contract.subject}" is a ${contract.kind}`,
      );
    }
    return contract;
  }

  /** @throws MeshError as contractOf, and UNAUTHORIZED */
  #allowed(kind: Kind, contract: AnyContract | string): AnyContract {
    const known = this.contractOf(kind, contract);
    this.#env.access?.assertMay(kind === "event" ? "publish" : "send", known.subject);
    return known;
  }

  #checkOpen(): void {
    if (this.stopped) throw new MeshError("STOPPED", "the node has stopped");
  }

  #encode(
    contract: AnyContract,
    value: unknown,
    options: ResolvedPublishOptions,
  ): EncodedValue | Promise<EncodedValue> {
    return encodeValue(contract, value as never, this.#env.limits.payloadBytesMax, options.key);
  }

  #hashOf(key: string | undefined): number {
    return key === undefined ? -1 : this.#env.hash.hash32(key);
  }

  #outgoing(
    contract: AnyContract,
    encoded: EncodedValue,
    keyHash: number,
    options: ResolvedPublishOptions,
  ): Outgoing {
    const { payload, contentType, key } = encoded;
    const { expireAfterMs } = options;
    const wallMs = this.#env.clock.wallMs();
    const time = this.#env.hybrid.now(wallMs);
    const kind = contract.kind === "command" ? 1 : 0;
    const { subject } = contract;
    const expireAtMs = expireAfterMs === undefined ? -1 : wallMs + expireAfterMs;
    const template = contract["~template"](contentType);
    if (options.delayMs === 0 && isPlain(options)) {
      return new PlainMessage(kind, subject, keyHash, expireAtMs, template, key, time, payload);
    }
    return {
      kind,
      subject,
      keyHash,
      expireAtMs,
      target: undefined,
      timeMs: time.ms,
      timeCounter: time.counter,
      template,
      variables: { key, time, payload, ...rareOf(options, undefined) },
      bytes: undefined,
      reserve: false,
      delayMs: options.delayMs,
    };
  }

  #append(
    contract: AnyContract,
    encoded: EncodedValue,
    options: ResolvedPublishOptions,
  ): Promise<Receipt> {
    const { idempotencyKey, id } = options;
    if (idempotencyKey !== undefined) return this.#appendOnce(contract, encoded, options);
    const outgoing = this.#outgoing(contract, encoded, this.#hashOf(encoded.key), options);
    const { nodeId, epoch, committer } = this.#journal;
    const seq = this.#producer.accept(outgoing);
    // The receipt is made when it is wanted: what lives until the commit costs the collector more than what does not.
    return committer.durable().then(() => new Receipt(nodeId, epoch, seq, id));
  }

  /** A key that was seen before has its first call's receipt. */
  #appendOnce(
    contract: AnyContract,
    encoded: EncodedValue,
    options: ResolvedPublishOptions,
  ): Promise<Receipt> {
    const { id } = options;
    const idempotencyKey = options.idempotencyKey as string;
    const now = this.#env.clock.wallMs();
    const { nodeId, epoch } = this.#journal;
    const seen = this.#idempotency.find(idempotencyKey, now);
    if (seen !== undefined) {
      const { position } = seen;
      return this.#durable(new Receipt(nodeId, position.epoch, position.seq, seen.id, true));
    }
    const outgoing = this.#outgoing(contract, encoded, this.#hashOf(encoded.key), options);
    const seq = this.#producer.accept(outgoing);
    const undo = this.#idempotency.add(idempotencyKey, { epoch, seq }, id, now);
    this.#journal.onDurable((error) => {
      if (error !== undefined) undo();
    });
    return this.#durable(new Receipt(nodeId, epoch, seq, id));
  }

  #durable(receipt: Receipt): Promise<Receipt> {
    return this.#journal.committer.durable().then(() => receipt);
  }

  #appendMany(
    contract: AnyContract,
    encoded: readonly EncodedValue[],
    options: ResolvedPublishOptions,
  ): Promise<Receipt[]> {
    const messages = encoded.map((one) =>
      this.#outgoing(contract, one, this.#hashOf(one.key), options),
    );
    const { epoch, nodeId } = this.#journal;
    const first = this.#producer.acceptMany(messages);
    const receipts = messages.map((_, at) => new Receipt(nodeId, epoch, first + at, undefined));
    return this.#journal.committer.durable().then(() => receipts);
  }

  /** The call waits for those before it of its key, for its validation, and for room. */
  async #appendLater(
    contract: AnyContract,
    value: unknown,
    encoded: EncodedValue | Promise<EncodedValue>,
    options: ResolvedPublishOptions,
  ): Promise<Receipt> {
    if (encoded instanceof Promise) encoded.catch(() => {}); // reported when its turn has come
    try {
      const key = this.#hashOf(keyOf(contract, value as never, options.key));
      // The turn ends when the message has its position; the receipt follows when it is on disk.
      const { receipt } = await this.#order.run([key], async () => {
        const ready = await encoded;
        await this.#room(ready.payload.length + OVERHEAD, options.signal);
        return { receipt: this.#append(contract, ready, options) };
      });
      return await receipt;
    } catch (error) {
      throw abortError(error);
    }
  }

  #room(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    this.#checkOpen();
    return roomFor(this.#journal, bytes, this.#whenFull, signal);
  }
}

const isReady = (
  encoded: readonly (EncodedValue | Promise<EncodedValue>)[],
): encoded is readonly EncodedValue[] => !encoded.some((one) => one instanceof Promise);

const bytesOf = (encoded: readonly EncodedValue[]): number =>
  encoded.reduce((sum, { payload }) => sum + payload.length + OVERHEAD, 0);

/** What an AbortSignal throws becomes the table's error. */
const abortError = (error: unknown): unknown => {
  if (MeshError.is(error)) return error;
  if (error instanceof Error && (error.name === "AbortError" || error.name === "TimeoutError")) {
    return new MeshError("ABORTED", "the caller's signal fired", { cause: error });
  }
  return error;
};
