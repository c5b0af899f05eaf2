/** What a subscription at this instance is told at its start, and what it needs of the consumer that owns it. */
import type { RetryPolicy } from "../../core/retry-schedule.ts";
import type { FlowRules } from "../../options/read-flow.ts";
import type { SubscriptionRecord } from "../../wire/declare.ts";
import type { Environment } from "../environment.ts";
import type { ConsumerOpening } from "./consumer-opening.ts";
import type { Job } from "./job.ts";

export type ConsumerSpec = FlowRules & {
  readonly record: SubscriptionRecord;
  readonly concurrency: number;
  readonly prefetch: number;
  readonly prefetchBytes: number;
  readonly timeoutMs: number;
  readonly abandonMs: number;
  readonly retry: RetryPolicy;
  /** Messages cannot move to another member while their producer runs: `ctx.state` exists. */
  readonly stateful: boolean;
  /** No other instance can ever be a member: output leaves right after the sync. */
  readonly alone: boolean;
};

export interface ConsumerHost {
  readonly env: Environment;
  /**
   * The handler succeeded: mark, output and state are committed together, then acked. False: there is no
   * room for what it sent, and nothing was kept.
   */
  commit(job: Job): boolean;
  /** Output of an at-most-once message's handler leaves at once, or is dropped and counted. */
  commitVolatile(job: Job): void;
  /** Whether output of this message waits for its settle to be accepted. */
  isHeld(job: { producer: string; epoch: number; seq: number }, subscription: string): boolean;
  /** Whether it was handled, and its output held, under another term than this. */
  isStale(
    job: { producer: string; epoch: number; seq: number },
    subscription: string,
    term: number,
  ): boolean;
  wake(opening: ConsumerOpening): void;
}
