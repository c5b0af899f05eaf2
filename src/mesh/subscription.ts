/** What `subscribe`, `handle` and `reply` give. */
import type { MeshError } from "../errors.ts";
import type { ResolvedSubscribeOptions } from "../options/subscribe-options.ts";
import type { ConsumerSubscription } from "../runtime/consumer/consumer-subscription.ts";
import type { SubscriptionRecord } from "../wire/declare.ts";

export type Activity = {
  readonly running: number;
  readonly waiting: number;
  /** "closed" also where there is none. */
  readonly breaker: "closed" | "open" | "half-open";
};

export class Subscription {
  readonly group: string;
  readonly pattern: string;
  readonly options: ResolvedSubscribeOptions;
  /** Peers that were linked and had not confirmed within confirmTimeoutMs; they do so later. */
  unconfirmed: readonly string[] = [];
  /** Why it ended by itself: another group has claimed the command before. */
  refused: MeshError | undefined;
  /** @internal */
  onStopped: () => void = () => {};
  readonly #consumer: ConsumerSubscription | undefined;
  readonly #stop: () => Promise<void>;
  #stopping: Promise<void> | undefined;

  constructor(
    record: SubscriptionRecord,
    options: ResolvedSubscribeOptions,
    stop: () => Promise<void>,
    consumer?: ConsumerSubscription,
  ) {
    this.group = record.group;
    this.pattern = record.pattern;
    this.options = options;
    this.#consumer = consumer;
    this.#stop = stop;
  }

  /** Starts no handler and takes no more than what was already on its way. A reply is not paused. */
  pause(): void {
    this.#consumer?.pause();
  }

  resume(): void {
    this.#consumer?.resume();
  }

  /** Handlers that run, messages that wait here, and whether its breaker lets any start. */
  get activity(): Activity {
    const { running = 0, waiting = 0, breaker = "closed" } = this.#consumer ?? {};
    return { running, waiting, breaker };
  }

  /**
   * Takes nothing more, waits for running handlers, settles, and leaves the group. What was not started
   * goes to other members, or waits where the subscription is durable. Idempotent.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop().finally(() => this.onStopped());
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
