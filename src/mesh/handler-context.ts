/** `ctx`: what a handler may ask and do about the message it handles. */
import type { AnyContract, InputOf, ReplyOutputOf } from "../contract/contract.ts";
import { messageId, type NodeId } from "../core/ids.ts";
import type { Position } from "../core/position.ts";
import { MeshError } from "../errors.ts";
import type { PublishOptions } from "../options/publish-options.ts";
import type { RequestOptions } from "../options/request-options.ts";
import type { LogFields, Logger } from "../ports/logger.ts";
import type { Job } from "../runtime/consumer/job.ts";
import { RetryLater, Unrecoverable } from "../runtime/consumer/outcome.ts";
import type { StagedMessage } from "../runtime/consumer/staged-message.ts";

export type MessageKind = "event" | "command";

/** The message, as facts. */
export class ReceivedMessage {
  readonly #job: Job;

  constructor(job: Job) {
    this.#job = job;
  }

  get id(): string {
    const { envelope, producer, epoch, seq, volatile } = this.#job;
    if (envelope.id !== undefined) return envelope.id;
    return volatile ? "" : messageId(producer as NodeId, epoch, seq);
  }

  get subject(): string {
    return this.#job.envelope.subject;
  }

  get kind(): MessageKind {
    return this.#job.envelope.kind === 1 ? "command" : "event";
  }

  get key(): string | undefined {
    return this.#job.envelope.key;
  }

  /** Position in its producer's journal; 0, 0 for an at-most-once message. */
  get position(): Position {
    return { epoch: this.#job.epoch, seq: this.#job.seq };
  }

  /** When the producer accepted it. */
  get time(): Date {
    return new Date(this.#job.envelope.time.ms);
  }

  /** From 1: how often this message was tried, this time included. */
  get attempt(): number {
    return this.#job.attempts + 1;
  }

  get headers(): Readonly<Record<string, string>> {
    return this.#job.envelope.headers;
  }

  get correlationId(): string | undefined {
    return this.#job.envelope.correlationId;
  }

  get causationId(): string | undefined {
    return this.#job.envelope.causationId;
  }

  /** Id of the dead letter that this message replays. */
  get replayOf(): string | undefined {
    return this.#job.envelope.replayOf;
  }

  /** The node that owns the message. */
  get producer(): string {
    return this.#job.producer;
  }
}

/** A local key-value store of this subscription, committed with the message's mark. Values are JSON. */
export type StateAccess = {
  /** What an earlier handler, or this one, put; undefined when there is nothing. */
  get<T = unknown>(key: string): T | undefined;
  /** @throws MeshError SCHEMA_VIOLATION when the value has no JSON form */
  put(key: string, value: unknown): void;
  delete(key: string): void;
};

/** What the context needs of its node. */
export interface ContextHost {
  readonly logger: Logger;
  stage(
    kind: MessageKind,
    contract: AnyContract | string,
    value: unknown,
    options: PublishOptions | undefined,
    cause: ReceivedMessage,
  ): StagedMessage | Promise<StagedMessage>;
  ask(
    contract: AnyContract | string,
    value: unknown,
    options: RequestOptions | undefined,
    cause: ReceivedMessage,
  ): Promise<unknown>;
  readState(subscription: string, key: string): Uint8Array | undefined;
}

export class HandlerContext {
  readonly #host: ContextHost;
  readonly #source: { readonly job: Job };
  #message: ReceivedMessage | undefined;
  #log: Logger | undefined;

  /** `source` is the job, or makes it when it is asked for. */
  constructor(host: ContextHost, source: { readonly job: Job }) {
    this.#host = host;
    this.#source = source;
  }

  get message(): ReceivedMessage {
    this.#message ??= new ReceivedMessage(this.#job);
    return this.#message;
  }

  /**
   * Aborts at the time-out, when the key has another owner, and when the node stops waiting: nothing done
   * after has an effect.
   */
  get signal(): AbortSignal {
    return this.#job.signal;
  }

  /**
   * Grows from owner to owner of the key: a store of your own that keeps the highest it has seen can refuse
   * a handler that was overtaken. 0n without a key, or where keys have no owners.
   */
  get fence(): bigint {
    return BigInt(this.#job.fence);
  }

  /** @throws MeshError STATE_UNAVAILABLE unless group is false or failover is "wait" */
  get state(): StateAccess {
    const { subscription } = this.#job;
    if (!subscription.spec.stateful) {
      throw new MeshError(
        "STATE_UNAVAILABLE",
        `messages of "${subscription.id}" can move to another member; ctx.state needs group: false or failover: "wait"`,
      );
    }
    return {
      get: <T>(key: string) => this.#readState(key) as T | undefined,
      put: (key, value) => this.#writeState(key, value),
      delete: (key) => this.#writeState(key, undefined),
    };
  }

  /** Logs with the message's ids. */
  get log(): Logger {
    this.#log ??= withFields(this.#host.logger, {
      subscription: this.#job.subscription.id,
      messageId: this.message.id,
      attempt: this.message.attempt,
    });
    return this.#log;
  }

  /**
   * Stages an event: it leaves once, when this message's settle is accepted, and not at all when the
   * handler fails. @throws MeshError ALREADY_SETTLED, SCHEMA_VIOLATION, PAYLOAD_TOO_LARGE
   */
  publish<C extends AnyContract<"event"> | string>(
    contract: C,
    value: C extends AnyContract<"event"> ? InputOf<C> : unknown,
    options?: PublishOptions,
  ): void {
    this.#stage("event", contract, value, options);
  }

  /** Stages a command; see `publish`. */
  send<C extends AnyContract<"command"> | string>(
    contract: C,
    value: C extends AnyContract<"command"> ? InputOf<C> : unknown,
    options?: PublishOptions,
  ): void {
    this.#stage("command", contract, value, options);
  }

  /** Asks at once; no part of what is committed with this message. */
  request<C extends AnyContract<"query"> | string>(
    contract: C,
    value: C extends AnyContract<"query"> ? InputOf<C> : unknown,
    options?: RequestOptions,
  ): Promise<C extends AnyContract<"query"> ? ReplyOutputOf<C> : unknown> {
    type Answer = C extends AnyContract<"query"> ? ReplyOutputOf<C> : unknown;
    return this.#host.ask(contract, value, options, this.message) as Promise<Answer>;
  }

  /** Ends this attempt as failed; tried again after `delayMs` (default: the retry schedule). */
  retry(options: { readonly delayMs?: number } = {}): never {
    throw new RetryLater(options.delayMs);
  }

  /** Ends the message: no retry can help. */
  deadLetter(reason: string): never {
    throw new Unrecoverable(reason);
  }

  /** Values still being validated. The handler has succeeded only when they are. @internal */
  get staging(): Promise<unknown> | undefined {
    const { staging } = this.#job;
    return staging === undefined ? undefined : Promise.all(staging);
  }

  get #job(): Job {
    return this.#source.job;
  }

  #stage(
    kind: MessageKind,
    contract: AnyContract | string,
    value: unknown,
    options: PublishOptions | undefined,
  ): void {
    const job = this.#job;
    this.#checkLive("nothing was staged");
    const staged = this.#host.stage(kind, contract, value, options, this.message);
    job.staged ??= [];
    if (!(staged instanceof Promise)) {
      job.staged.push(staged);
      return;
    }
    const place = job.staged.length;
    const list = job.staged as (StagedMessage | undefined)[];
    list.push(undefined); // keeps the order of the calls
    const placed = staged.then((message) => {
      list[place] = message;
    });
    placed.catch(() => {}); // reported when the handler returns
    job.staging ??= [];
    job.staging.push(placed);
  }

  #checkLive(consequence: string): void {
    if (this.#job.isLive) return;
    throw new MeshError("ALREADY_SETTLED", `the handler has ended or timed out; ${consequence}`);
  }

  #readState(key: string): unknown {
    this.#checkLive("nothing can be read");
    const { stateWrites, subscription } = this.#job;
    const own = stateWrites?.findLast((write) => write.key === key);
    const bytes = own === undefined ? this.#host.readState(subscription.id, key) : own.value;
    return bytes === undefined ? undefined : JSON.parse(Buffer.from(bytes).toString());
  }

  #writeState(key: string, value: unknown): void {
    this.#checkLive("nothing was kept");
    const json = value === undefined ? undefined : JSON.stringify(value);
    const bytes = json === undefined ? undefined : Buffer.from(json);
    this.#job.stateWrites ??= [];
    this.#job.stateWrites.push({ key, value: bytes });
  }
}

const withFields = (logger: Logger, ids: LogFields): Logger => ({
  debug: (message, fields) => logger.debug(message, { ...ids, ...fields }),
  info: (message, fields) => logger.info(message, { ...ids, ...fields }),
  warn: (message, fields) => logger.warn(message, { ...ids, ...fields }),
  error: (message, fields) => logger.error(message, { ...ids, ...fields }),
});
