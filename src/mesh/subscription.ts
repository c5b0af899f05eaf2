/** What `subscribe`, `handle` and `reply` give. */
import type { MeshError } from "../errors.ts";
import type { ResolvedSubscribeOptions } from "../options/subscribe-options.ts";
import type { SubscriptionRecord } from "../wire/declare.ts";

export type Activity = {
  readonly running: number;
  readonly waiting: number;
  /** "closed" also where there is none. */
  readonly breaker: "closed" | "open" | "half-open";
};

/** What is behind a subscription: a consumer, or what answers requests, which is not paused. */
export interface ActivitySource extends Activity {
  pause?(): void;
  resume?(): void;
}

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
  readonly #source: ActivitySource;
  readonly #stop: () => Promise<void>;
  #stopping: Promise<void> | undefined;

  constructor(
    record: SubscriptionRecord,
    options: ResolvedSubscribeOptions,
    stop: () => Promise<void>,
    source: ActivitySource,
  ) {
    this.group = record.group;
    this.pattern = record.pattern;
    this.options = options;
    this.#source = source;
    this.#stop = stop;
  }

  /** Starts no handler and takes no more than what was already on its way. A reply is not paused. */
  pause(): void {
    this.#source.pause?.();
  }

  resume(): void {
    this.#source.resume?.();
  }

  /** Handlers that run, messages that wait here, and whether its breaker lets any start. */
  get activity(): Activity {
    const { running, waiting, breaker } = this.#source;
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
