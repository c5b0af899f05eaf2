/** The node a service holds: say, listen, operate, stop. */
import type {
  AnyContract,
  InputOf,
  OutputOf,
  ReplyInputOf,
  ReplyOutputOf,
} from "../contract/contract.ts";
import { MeshError } from "../errors.ts";
import type { ResolvedOptions } from "../options/node-options.ts";
import type { EmitOptions, PublishOptions } from "../options/publish-options.ts";
import type { RequestOptions } from "../options/request-options.ts";
import type { SubscribeOptions } from "../options/subscribe-options.ts";
import type { Logger } from "../ports/logger.ts";
import type { Security } from "../ports/security.ts";
import type { StatusChange } from "../runtime/environment.ts";
import type { NodeRuntime } from "../runtime/node-runtime.ts";
import { laterOf } from "../runtime/producer/definitions.ts";
import { subscriptionId } from "../runtime/subscription-id.ts";
import { Asker } from "./asker.ts";
import { DeadLetterAccess } from "./dead-letter-access.ts";
import { type Declared, declaredOf } from "./declared-of.ts";
import type { HandlerContext } from "./handler-context.ts";
import { type Health, healthOf } from "./health-of.ts";
import { MessageStream } from "./message-stream.ts";
import type { Ledgers, PeerInfo, StopReport } from "./node-report.ts";
import { peersOf } from "./peers-of.ts";
import { Publisher } from "./publisher.ts";
import type { Receipt } from "./receipt.ts";
import { type Shards, shardsOf } from "./shards-of.ts";
import type { StatusStream } from "./status-stream.ts";
import { Subscriber } from "./subscriber.ts";
import type { Subscription } from "./subscription.ts";
import type { RequestContext } from "./user-handlers.ts";
import { type WaitOptions, waitFor } from "./wait-for.ts";

type EventLike = AnyContract<"event"> | string;
type CommandLike = AnyContract<"command"> | string;
type QueryLike = AnyContract<"query"> | string;
type In<C> = C extends AnyContract ? InputOf<C> : unknown;
type Out<C> = C extends AnyContract ? OutputOf<C> : unknown;
type ReplyIn<C> = C extends AnyContract ? ReplyInputOf<C> : unknown;
type ReplyOut<C> = C extends AnyContract ? ReplyOutputOf<C> : unknown;

/** A handler. What it returns is not used; a promise is waited for. */
export type Handler<C> = (data: Out<C>, ctx: HandlerContext) => unknown;
export type ReplyHandler<C> = (
  data: Out<C>,
  ctx: RequestContext,
) => ReplyIn<C> | Promise<ReplyIn<C>>;

export type NodeParts = {
  readonly runtime: NodeRuntime;
  readonly options: ResolvedOptions;
  readonly dataDir: string;
  readonly status: StatusStream;
  readonly logger: Logger;
};

export class MeshNode {
  readonly #runtime: NodeRuntime;
  readonly #options: ResolvedOptions;
  readonly #status: StatusStream;
  readonly #publisher: Publisher;
  readonly #asker: Asker;
  readonly #subscriber: Subscriber;
  readonly #streams = new Set<{ end(): void }>();
  #stopping: Promise<StopReport> | undefined;
  #resolveClosed: (reason: string) => void = () => {};
  /** Dead letters of the mesh. */
  readonly deadLetters: DeadLetterAccess;
  /** Where this node keeps its journal. */
  readonly dataDir: string;
  /** Resolves, never rejects, with the reason when the node has stopped. */
  readonly closed: Promise<string>;

  /** @internal Use createNode(). */
  constructor(parts: NodeParts) {
    const { runtime, options } = parts;
    this.#runtime = runtime;
    this.#options = options;
    this.#status = parts.status;
    this.dataDir = parts.dataDir;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#publisher = new Publisher({
      env: runtime.env,
      journal: runtime.journal,
      producer: runtime.producer,
      whenFull: options.journal.whenFull,
      idempotencyMs: options.idempotencyMs,
      idempotencyKeysMax: options.limits.idempotencyKeysMax,
    });
    this.#asker = new Asker(runtime, options.requestTimeoutMs);
    this.#subscriber = new Subscriber({
      runtime,
      service: options.service,
      retry: options.retry,
      nodePrefetchBytes: options.limits.nodePrefetchBytes,
      context: {
        logger: parts.logger,
        stage: (kind, contract, value, given, cause) =>
          this.#publisher.stage(kind, contract, value, given, cause),
        ask: (contract, value, given, cause) => this.#asker.ask(contract, value, given, cause),
        readState: (subscription, key) => runtime.consumer.state.get(subscription, key),
      },
    });
    this.deadLetters = new DeadLetterAccess(runtime);
  }

  /** The id of this node; survives restarts on the same dataDir. */
  get id(): string {
    return this.#runtime.journal.nodeId;
  }

  get service(): string {
    return this.#options.service;
  }

  /** @internal Its keys, for what serves beside it. */
  get security(): Security | undefined {
    return this.#runtime.env.access?.security;
  }

  /** Where peers reach this node. */
  get addresses(): readonly string[] {
    return this.#runtime.addresses;
  }

  // --- say -----------------------------------------------------------------------------------

  /**
   * Accepts an event: resolves when it is synced to this node's disk, from where every subscription that
   * should have it gets it. Awaiting is the back-pressure.
   * @throws MeshError SCHEMA_VIOLATION, PAYLOAD_TOO_LARGE, INVALID_SUBJECT, INVALID_OPTIONS, JOURNAL_FULL,
   *   DISK_FULL, OUTCOME_UNKNOWN, ABORTED, STOPPED
   */
  publish<C extends EventLike>(
    contract: C,
    value: In<C>,
    options?: PublishOptions,
  ): Promise<Receipt> {
    return this.#publisher.accept("event", contract, value, options);
  }

  /** Accepts a command, for the one group that handles it, now or later. As `publish`. */
  send<C extends CommandLike>(
    contract: C,
    value: In<C>,
    options?: PublishOptions,
  ): Promise<Receipt> {
    return this.#publisher.accept("command", contract, value, options);
  }

  /** Accepts many events as one, all or nothing. As `publish`. */
  publishMany<C extends EventLike>(
    contract: C,
    values: readonly In<C>[],
    options?: PublishOptions,
  ): Promise<Receipt[]> {
    return this.#publisher.acceptMany(contract, values, options);
  }

  /**
   * Hands an event to live subscribers, at most once, and keeps nothing. True when at least one group's
   * member took it; why not is counted (`counters()`, "emit.dropped.*").
   * @throws MeshError SCHEMA_VIOLATION, PAYLOAD_TOO_LARGE, INVALID_SUBJECT, INVALID_OPTIONS, STOPPED
   */
  emit<C extends EventLike>(contract: C, value: In<C>, options?: EmitOptions): boolean {
    return this.#publisher.emit(contract, value, options) === "taken";
  }

  /**
   * Asks one live instance that replies to the subject; waits for one until the time-out. Handled at most
   * once: an instance that refuses has not begun, and another is asked. A payload of bytes must not change before the
   * promise has settled: a large one is copied as it leaves.
   * @throws MeshError TIMEOUT, NO_HANDLER, REMOTE_ERROR, PEER_LOST, ABORTED, RATE_LIMITED, CIRCUIT_OPEN,
   *   SCHEMA_VIOLATION
   */
  request<C extends QueryLike>(
    contract: C,
    value: In<C>,
    options?: RequestOptions,
  ): Promise<ReplyOut<C>> {
    return this.#asker.ask(contract, value, options, undefined) as Promise<ReplyOut<C>>;
  }

  // --- listen --------------------------------------------------------------------------------

  /** Listens to events. Resolves when linked peers have confirmed, at most confirmTimeoutMs. */
  subscribe<C extends EventLike>(
    contract: C,
    handler: Handler<C>,
    options?: SubscribeOptions,
  ): Promise<Subscription> {
    return this.#subscriber.listen("events", contract, handler as never, options);
  }

  /** Handles a command; one group in the mesh does. @throws MeshError COMMAND_CLAIMED */
  handle<C extends CommandLike>(
    contract: C,
    handler: Handler<C>,
    options?: SubscribeOptions,
  ): Promise<Subscription> {
    return this.#subscriber.listen("commands", contract, handler as never, options);
  }

  /** Answers a query. */
  reply<C extends QueryLike>(
    contract: C,
    handler: ReplyHandler<C>,
    options?: SubscribeOptions,
  ): Promise<Subscription> {
    return this.#subscriber.reply(contract, handler as never, options);
  }

  /** Events to read with `for await` and settle by hand. Leaving the loop ends the subscription. */
  messages<C extends EventLike>(contract: C, options?: SubscribeOptions): MessageStream<Out<C>> {
    const stream = new MessageStream<Out<C>>((handler) =>
      this.#subscriber.listen("events", contract, handler as never, options),
    );
    this.#streams.add(stream);
    return stream;
  }

  // --- operate -------------------------------------------------------------------------------

  /**
   * Resolves when an instance of the service is linked, or somebody live handles the contract.
   * @throws MeshError TIMEOUT after timeoutMs (default 30,000), ABORTED
   */
  waitFor(what: string | AnyContract, options: WaitOptions = {}): Promise<void> {
    return waitFor(this.#runtime, what, options, () => this.#stopping !== undefined);
  }

  /** What became of the messages this node accepted, by subscription; the numbers add up. */
  ledger(): Ledgers {
    return this.#runtime.producer.ledger();
  }

  /** The other nodes this one knows. */
  peers(): PeerInfo[] {
    return peersOf(this.#runtime);
  }

  /** What a linked peer listens to, as it says. Undefined: no link with it, or it has not said yet. */
  declared(nodeId: string): readonly Declared[] | undefined {
    return declaredOf(this.#runtime, nodeId);
  }

  /** Whether the node does its work, and why not; and what waits for a member out of reach. */
  health(): Health {
    return healthOf(this.#runtime, this.#stopping !== undefined);
  }

  /** Who holds the keys of a group's subscription. Undefined when this node knows of none with owners. */
  shards(group: string, contract: AnyContract | string): Shards | undefined {
    return shardsOf(this.#runtime, group, contract);
  }

  /** Counts of what happened in this process, by name: drops by reason, retries, malformed frames. */
  counters(): Readonly<Record<string, number>> {
    return this.#runtime.env.counters.all();
  }

  /** Changes as they happen; ends when the node has stopped. A slow reader loses the oldest of 256. */
  status(): AsyncIterableIterator<StatusChange> {
    return this.#status.read();
  }

  /** Ends a durable subscription for good, here and at every linked node: what waits for it is abandoned. */
  async removeSubscription(group: string, contract: AnyContract | string): Promise<void> {
    const pattern = typeof contract === "string" ? contract : contract.subject;
    const role =
      typeof contract !== "string" && contract.kind === "command" ? "commands" : "events";
    const { declarations, env, journal, producer } = this.#runtime;
    const id = subscriptionId({ role, group, pattern });
    const now = env.hybrid.now(env.clock.wallMs());
    // After its birth, whatever the clock of this life says.
    const time = laterOf(now, producer.table.get(id)?.definition.birthTime ?? now);
    producer.members.endOwn({ role, group, pattern, time });
    this.#subscriber.forget(id);
    declarations.end({ role, group, pattern, time });
    await new Promise<void>((resolve, reject) => {
      journal.onDurable((error) => (error === undefined ? resolve() : reject(error)));
    });
  }

  /**
   * Stops taking, finishes what runs (at most drainMs), settles, says goodbye, closes the journal. Returns
   * what is still pending here; it is taken up when a node starts on this dataDir again. Idempotent.
   */
  stop(options: { readonly drainMs?: number } = {}): Promise<StopReport> {
    this.#stopping ??= this.#stop(options.drainMs ?? this.#options.drainMs);
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop().then(() => {});
  }

  async #stop(drainMs: number): Promise<StopReport> {
    this.#runtime.env.report({ type: "stopping" });
    this.#publisher.stopped = true;
    this.#asker.stopped = true;
    await this.#runtime.stopDiscovery();
    for (const stream of this.#streams) stream.end();
    await this.#subscriber.stopAll(drainMs);
    this.#runtime.requests.stop(new MeshError("STOPPED", "the node stopped"));
    const ledger = this.ledger();
    try {
      await this.#runtime.stop();
    } finally {
      this.#runtime.env.report({ type: "stopped" });
      this.#status.end();
      this.#resolveClosed("stopped");
    }
    let pending = 0;
    for (const counts of Object.values(ledger)) pending += counts.pending;
    return { pending, unrouted: this.#runtime.env.counters.get("messages.unrouted"), ledger };
  }

  /** A peer refused a subscription that stood. @internal */
  refused(index: number, refusal: MeshError): void {
    this.#subscriber.refused(index, refusal);
  }
}
