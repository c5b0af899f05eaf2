/**
 * A scenario: one rare course of events, brought about on purpose.
 *
 * Problem: what matters most needs several things to come together, and a generator that draws them one by
 * one meets them too seldom. Approach: a scenario bends the plan of its seed so that the situation can come
 * about, pushes at the right moment, and then counts how often it did come about, from what was seen to
 * happen and never from what was planned. All else of the seed (its faults, its other work) stays.
 */
import type { Subscription } from "../../src/mesh/subscription.ts";
import type { StoreWrite } from "../../src/ports/journal-store.ts";
import type { Run, Said } from "../../src/testing/history.ts";
import type { SeededRandom } from "../../src/testing/seeded-random.ts";
import type { FaultDriver } from "./fault-driver.ts";
import type { FaultPlan, Plan, SubscriptionPlan } from "./plan.ts";
import type { SimNode } from "./sim-node.ts";
import type { World } from "./world.ts";

export type Stage = {
  readonly world: World;
  readonly driver: FaultDriver;
  /** Of the scenario alone. */
  readonly random: SeededRandom;
  /** It happened, so many times. */
  readonly seen: (count?: number) => void;
};

export type Scenario = {
  readonly name: string;
  readonly about: string;
  readonly shape: (plan: Plan, random: SeededRandom) => Plan;
  readonly begin: (stage: Stage) => Watcher;
};

/** What a scenario hears of. */
export type Watcher = {
  readonly runStarted?: (run: Run) => void;
  /** With its outcome; not for runs that were cut with their process. */
  readonly runEnded?: (run: Run) => void;
  readonly accepted?: (said: Said) => void;
  /** Writes reached the disk of a node. */
  readonly durable?: (node: SimNode, writes: readonly StoreWrite[]) => void;
  readonly diskFault?: (node: SimNode, name: string) => void;
  readonly up?: (node: SimNode) => void;
  readonly subscribed?: (node: SimNode, plan: SubscriptionPlan, subscription: Subscription) => void;
  /** Everything is quiet: count what can only be told from the whole history. */
  readonly over?: () => void;
};

/** A durable subscription to "ev.a" by every node of "s0", whose handlers neither fail nor send. */
export const PLAIN: SubscriptionPlan = {
  role: "events",
  pattern: "ev.a",
  service: "s0",
  group: "s0",
  durable: true,
  distribution: "key",
  failover: "move",
  onDead: "continue",
  from: "new",
  concurrency: 4,
  prefetch: 32,
  timeoutMs: 1_500,
  attempts: 5,
  retryBaseMs: 20,
  retryCapMs: 3_000,
  lateMs: 0,
  flaky: 0,
  poison: 0,
  hang: 0,
  slow: 0,
  slowMs: 10,
  sends: 0,
  filter: false,
  breaker: false,
  rate: undefined,
};

/** The plan with this subscription in place of whatever had its pattern and group. */
export const withSubscription = (plan: Plan, added: SubscriptionPlan): Plan => ({
  ...plan,
  subscriptions: [
    ...plan.subscriptions.filter(
      ({ pattern, group }) => pattern !== added.pattern || group !== added.group,
    ),
    added,
  ],
});

/** Slow links at most: for scenarios that need a mesh in which only they make trouble. */
export const peaceful = (faults: FaultPlan): FaultPlan => {
  const quiet = Object.entries(faults).map(([name]) => [name, 0] as const);
  const { delayMeanMs, syncMeanMs, clockSkewMs } = faults;
  return {
    ...(Object.fromEntries(quiet) as FaultPlan),
    delayMeanMs: Math.min(10, delayMeanMs),
    syncMeanMs: Math.min(5, syncMeanMs),
    clockSkewMs,
  };
};

export const placeOfRun = ({ subscription, producer, epoch, seq }: Run): string =>
  `${subscription} n${producer} ${epoch}:${seq}`;
