/**
 * From a user's handler to a declared subscription: options, decoding, context, confirmation, end.
 */
import type { AnyContract } from "../contract/contract.ts";
import { isContract, untyped, untypedPattern } from "../contract/untyped.ts";
import { patternsOverlap } from "../core/subject.ts";
import { MeshError } from "../errors.ts";
import {
  type ResolvedSubscribeOptions,
  resolveSubscribeOptions,
  type SubscribeOptions,
} from "../options/subscribe-options.ts";
import type { ConsumerSubscription } from "../runtime/consumer/consumer-subscription.ts";
import { type FlowLimits, flowLimitsOf } from "../runtime/flow-limits.ts";
import type { NodeRuntime } from "../runtime/node-runtime.ts";
import { privateGroup, subscriptionId } from "../runtime/subscription-id.ts";
import type { SubscriptionRecord } from "../wire/declare.ts";
import { Births } from "./births.ts";
import type { ContextHost } from "./handler-context.ts";
import { Subscription } from "./subscription.ts";
import { jobHandler, requestHandler, type UserHandler, type UserReply } from "./user-handlers.ts";

type Role = "events" | "commands" | "queries";
export type SubscriberOptions = {
  readonly runtime: NodeRuntime;
  readonly service: string;
  readonly retry: ResolvedSubscribeOptions["retry"];
  readonly nodePrefetchBytes: number;
  readonly context: ContextHost;
};

export class Subscriber {
  readonly #options: SubscriberOptions;
  readonly #runtime: NodeRuntime;
  readonly #births: Births;
  readonly #subscriptions = new Map<number, Subscription>();
  stopped = false;

  constructor(options: SubscriberOptions) {
    this.#options = options;
    this.#runtime = options.runtime;
    this.#births = new Births(options.runtime);
  }

  /** Live subscriptions of this node, its own internal ones left out. */
  get subscriptions(): ReadonlyMap<number, Subscription> {
    return this.#subscriptions;
  }

  async listen(
    role: "events" | "commands",
    contract: AnyContract | string,
    handler: UserHandler,
    given: SubscribeOptions | undefined,
  ): Promise<Subscription> {
    this.#check(handler);
    const known = this.#contractOf(role, contract);
    this.#runtime.env.access?.assertMayTake(role, known.subject);
    const options = this.#resolve(role, given);
    const record = this.#record(role, known, options);
    this.#refuseTwice(record);
    const { retry, concurrency, prefetch, prefetchBytes, timeoutMs, abandonMs, stateful } = options;
    const { breaker, rate } = options;
    const limits = { concurrency, prefetch, prefetchBytes, timeoutMs, abandonMs, breaker, rate };
    const consumer = this.#runtime.consumer.add(
      { record, retry, stateful, alone: options.group === false, ...limits },
      jobHandler(this.#options.context, known, handler),
    );
    const stop = () => this.#stopConsumer(consumer);
    const subscription = new Subscription(record, options, stop, consumer);
    return this.#announce(subscription, record, options.signal, consumer);
  }

  async reply(
    contract: AnyContract | string,
    handler: UserReply,
    given: SubscribeOptions | undefined,
  ): Promise<Subscription> {
    this.#check(handler);
    const known = this.#contractOf("queries", contract);
    this.#runtime.env.access?.assertMayTake("queries", known.subject);
    const options = this.#resolve("queries", given);
    const record = this.#record("queries", known, options);
    this.#refuseTwice(record);
    const { answers, env } = this.#runtime;
    const { index, group, pattern } = record;
    const flow = flowLimitsOf(env, `query ${group} ${pattern}`, options, () => {});
    answers.answer(index, pattern, requestHandler(env, known, handler, options.timeoutMs), flow);
    const stop = () => this.#stopReply(index, flow);
    const source = {
      waiting: 0,
      get running() {
        return answers.running(index);
      },
      get breaker() {
        return flow?.mode ?? "closed";
      },
    };
    const subscription = new Subscription(record, options, stop, source);
    return this.#announce(subscription, record, options.signal);
  }

  /** A durable subscription ended by name: the next one of that name is born anew. */
  forget(id: string): void {
    this.#births.forget(id);
  }

  /** A peer refused a subscription that stood: another claim of the command is older. */
  refused(index: number, refusal: MeshError): void {
    const subscription = this.#subscriptions.get(index);
    if (subscription === undefined) return;
    const { group, pattern } = subscription;
    const { code, message } = refusal;
    this.#runtime.env.logger.error("subscription refused", { group, pattern, code, message });
    this.#runtime.env.report({ type: "subscription-refused", group, pattern, code, message });
    subscription.refused = refusal;
    void subscription.stop();
  }

  /** Stops them all, draining; what does not end in time is revoked. */
  async stopAll(drainMs: number): Promise<void> {
    this.stopped = true;
    const { clock } = this.#runtime.env;
    let timer: ReturnType<typeof clock.setTimer> | undefined;
    const late = new Promise<void>((resolve) => {
      timer = clock.setTimer(drainMs, resolve);
    });
    const stops = [...this.#subscriptions.values()].map((subscription) => subscription.stop());
    await Promise.race([Promise.all(stops), late]);
    if (timer !== undefined) clock.clearTimer(timer);
    const reason = new MeshError("STOPPED", "the node stopped while this handler ran");
    for (const consumer of this.#runtime.consumer.subscriptions.values())
      consumer.revokeAll(reason);
  }

  // --- inside --------------------------------------------------------------------------------

  #check(handler: unknown): void {
    if (this.stopped) throw new MeshError("STOPPED", "the node has stopped");
    if (typeof handler !== "function") {
      throw new MeshError("INVALID_OPTIONS", "handler: expected a function");
    }
    const { subscriptionsMax } = this.#runtime.env.limits;
    if (this.#runtime.declarations.size >= subscriptionsMax) {
      const message = `limits.subscriptionsMax ${subscriptionsMax} reached`;
      throw new MeshError("SUBSCRIPTION_LIMIT", message);
    }
  }

  #resolve(role: Role, given: SubscribeOptions | undefined): ResolvedSubscribeOptions {
    const { service, retry, nodePrefetchBytes } = this.#options;
    return resolveSubscribeOptions(given, { role, service, retry, nodePrefetchBytes });
  }

  #contractOf(role: Role, contract: AnyContract | string): AnyContract {
    const kind = KINDS[role];
    if (typeof contract === "string") {
      return (
        role === "events" ? untypedPattern(contract) : untyped(contract, kind)
      ) as AnyContract;
    }
    if (!isContract(contract)) {
      throw new MeshError("INVALID_OPTIONS", "expected a contract or a subject");
    }
    if (contract.kind !== kind) {
      throw new MeshError(
        "INVALID_OPTIONS",
        `${VERBS[role]} takes a ${kind}, "${contract.subject}" is a ${contract.kind}`,
      );
    }
    return contract;
  }

  #record(
    role: Role,
    contract: AnyContract,
    options: ResolvedSubscribeOptions,
  ): SubscriptionRecord {
    const { env, journal } = this.#runtime;
    const group =
      options.group === false ? privateGroup(this.#options.service, journal.nodeId) : options.group;
    const id = subscriptionId({ role, group, pattern: contract.subject });
    const definedTime = env.hybrid.now(env.clock.wallMs());
    const birth = this.#births.of(id, options.durable, definedTime);
    const [versionMin, versionMax] = contract.accepts;
    return {
      index: this.#runtime.declarations.newIndex(),
      role,
      group,
      pattern: contract.subject,
      durable: options.durable,
      birthTime: birth.time,
      birthCreator: birth.creator,
      distribution: options.distribution,
      failoverMove: options.failover === "move",
      holdOnDead: options.onDead === "hold",
      start: options.start,
      startTimeMs: options.startTimeMs,
      weight: options.weight,
      filter: options.filter,
      definedTime,
      versionMin,
      versionMax,
    };
  }

  /** One node is one member of a subscription. */
  #refuseTwice(record: SubscriptionRecord): void {
    const { declarations, env } = this.#runtime;
    for (const { group, pattern, role } of declarations.records()) {
      if (role !== record.role || group !== record.group) continue;
      if (pattern === record.pattern) {
        throw new MeshError(
          "INVALID_OPTIONS",
          `this node already listens to "${pattern}" in group "${group}"`,
        );
      }
      if (patternsOverlap(pattern, record.pattern)) {
        const patterns = [pattern, record.pattern];
        env.logger.warn("overlapping patterns deliver twice", { group, patterns });
      }
    }
  }

  #announce(
    subscription: Subscription,
    record: SubscriptionRecord,
    signal: AbortSignal | undefined,
    consumer?: ConsumerSubscription,
  ): Promise<Subscription> {
    this.#subscriptions.set(record.index, subscription);
    subscription.onStopped = () => this.#subscriptions.delete(record.index);
    return new Promise((resolve, reject) => {
      const give = (unconfirmed: readonly string[], refusal: MeshError | undefined): void => {
        signal?.removeEventListener("abort", abort);
        if (refusal !== undefined) {
          subscription.refused = refusal;
          void subscription.stop().then(() => reject(refusal));
          return;
        }
        subscription.unconfirmed = unconfirmed;
        resolve(subscription);
      };
      const abort = (): void => {
        void subscription.stop();
        reject(new MeshError("ABORTED", "the caller's signal fired", { cause: signal?.reason }));
      };
      if (signal?.aborted) {
        abort();
        return;
      }
      signal?.addEventListener("abort", abort, { once: true });
      this.#runtime.declarations.announce(record, give);
      this.#runtime.consumer.askAbout(record.index);
      if (consumer !== undefined) this.#enter(consumer);
    });
  }

  /** From now on shards may be this node's. */
  #enter({ id, owned, spec: { record } }: ConsumerSubscription): void {
    if (owned === undefined) return;
    const { ownerships, journal, env } = this.#runtime;
    const { nodeId } = journal;
    const self = { id: nodeId, hash: env.hash.hash32(nodeId), weight: Math.max(1, record.weight) };
    owned.entered(ownerships.enter(id, owned, { self, sticky: !record.failoverMove }));
  }

  /** Its shards go to other members. */
  #leave({ id, owned }: ConsumerSubscription): Promise<void> {
    const own = owned === undefined ? undefined : this.#runtime.ownerships.get(id)?.own;
    if (own === undefined) return Promise.resolve();
    return new Promise((resolve) => own.leave(resolve));
  }

  async #stopConsumer(consumer: ConsumerSubscription): Promise<void> {
    const { declarations, journal, env } = this.#runtime;
    const { index } = consumer;
    declarations.drain(index);
    const left = this.#leave(consumer);
    await consumer.drain();
    // The last acks leave after the sync that covers their marks, and the turn after it.
    await new Promise<void>((resolve) => journal.onDurable(() => resolve()));
    await new Promise<void>((resolve) => void env.clock.setTimer(0, resolve));
    await left;
    declarations.remove(index);
    this.#runtime.consumer.remove(consumer);
    if (consumer.owned !== undefined) this.#runtime.ownerships.exit(consumer.id);
  }

  async #stopReply(index: number, flow: FlowLimits | undefined): Promise<void> {
    const { declarations, answers, env } = this.#runtime;
    declarations.drain(index);
    while (answers.running(index) > 0) {
      await new Promise<void>((resolve) => void env.clock.setTimer(5, resolve));
    }
    flow?.stop();
    declarations.remove(index);
    answers.unanswer(index);
  }
}

const KINDS = { events: "event", commands: "command", queries: "query" } as const;
const VERBS = { events: "subscribe", commands: "handle", queries: "reply" } as const;
