/**
 * Where mutants are hunted: plans in which a kind of fault comes about in nearly every seed.
 *
 * A ground bends whatever plan its seed draws, so that seeds stay different from one another and nothing here
 * rests on the luck of one seed.
 */
import {
  EFFECT,
  type FaultPlan,
  type Plan,
  type SubscriptionPlan,
  type WorkPlan,
} from "../sim/plan.ts";
import { NO_SCENARIO } from "../sim/scenarios.ts";
import type { Shape } from "../sim/world.ts";

export type Ground = {
  /** A scenario of the simulation, or none. */
  readonly scenario: string | undefined;
  readonly shape?: Shape;
};

const QUIET: FaultPlan = {
  crashMs: 0,
  powerLoss: 0,
  restartMs: 0,
  pauseMs: 0,
  partitionMs: 0,
  clogMs: 0,
  resetMs: 0,
  delayMeanMs: 1,
  loss: 0,
  silentLoss: 0,
  duplicate: 0,
  reorder: 0,
  syncMeanMs: 0.3,
  syncFails: 0,
  diskFullMs: 0,
  bitFlip: 0,
  clockRate: 0,
  clockSkewMs: 0,
  clockJumpMs: 0,
  discoveryDrop: 0,
  discoveryLies: 0,
};

type Bend = {
  readonly plan?: Partial<Plan>;
  readonly faults: Partial<FaultPlan>;
  readonly work?: Partial<WorkPlan>;
  readonly each?: Partial<SubscriptionPlan>;
};

/** Only these faults; this work; each subscription so. */
const bent =
  ({ plan = {}, faults, work = {}, each = {} }: Bend): Shape =>
  (drawn) => ({
    ...drawn,
    isCalm: false,
    ...plan,
    faults: { ...QUIET, ...faults },
    work: { ...drawn.work, ...work },
    subscriptions: drawn.subscriptions.map((subscription) => {
      const so = { ...subscription, ...each };
      // What handlers send is not answered by sending, or it would never end.
      const sends = so.pattern === EFFECT ? 0 : so.sends;
      return { ...so, sends, prefetch: Math.max(so.prefetch, so.concurrency) };
    }),
  });

const STEADY = { messages: 120, everyMs: 10, keys: 5 } as const;

/** Processes die while syncs are under way, and what handlers send is held meanwhile. */
const crashes = bent({
  plan: { nodes: 4, services: 1, safetyMs: 6_000, heldMax: 16_384, smallJournal: false },
  faults: { crashMs: 500, powerLoss: 0.3, syncMeanMs: 20 },
  work: { ...STEADY, expiring: 0 },
  each: { sends: 1, durable: true },
});

/** Dead letters stop their keys. */
const holding = bent({
  plan: { nodes: 2, services: 1, safetyMs: 4_000, smallJournal: false },
  faults: {},
  work: { ...STEADY, keys: 3, keyless: 0, expiring: 0 },
  each: { poison: 0.3, attempts: 1, onDead: "hold", distribution: "key", durable: true },
});

/** Nothing fails but handlers, and their retries are long. */
const failing = bent({
  plan: { isCalm: true, nodes: 2, services: 1, safetyMs: 15_000, smallJournal: false },
  faults: {},
  work: { ...STEADY, messages: 40, expiring: 0 },
  each: { poison: 0.3, flaky: 0.2, attempts: 5, retryBaseMs: 3_000, durable: true, hang: 0 },
});

/** A process dies once or twice, with much waiting in it. */
const lone = bent({
  plan: { nodes: 2, services: 1, safetyMs: 3_000, smallJournal: false },
  faults: { crashMs: 2_000 },
  work: { ...STEADY, everyMs: 2, expiring: 0 },
  each: { attempts: 1, prefetch: 256, concurrency: 1, slow: 1, slowMs: 60, durable: true },
});

/** Journals fill up, handlers are slow, nothing else fails. */
const tight = bent({
  plan: { isCalm: true, nodes: 2, services: 1, safetyMs: 9_000, smallJournal: true },
  faults: {},
  work: { messages: 500, everyMs: 0.2, keys: 3, bytesMax: 40_000, awaited: 0, many: 0, emits: 0 },
  each: { slow: 1, slowMs: 250, timeoutMs: 1_500, concurrency: 2, sends: 0, durable: true },
});

/** Blocks change on disk, and are read again by processes that start anew. */
const rotten = bent({
  plan: { nodes: 3, services: 1, safetyMs: 5_000 },
  faults: { bitFlip: 0.03, crashMs: 700, powerLoss: 0.5 },
  work: { ...STEADY, bytesMax: 16 },
  each: { slow: 1, slowMs: 250, concurrency: 1, durable: true },
});

/** Syncs fail, processes start anew on what is there, callers repeat what they said. */
const repeated = bent({
  plan: { nodes: 3, services: 1, safetyMs: 5_000 },
  faults: { syncFails: 0.1, crashMs: 800, powerLoss: 0.5 },
  work: { ...STEADY, idempotent: 1, delayed: 0 },
});

/** Connections break again and again. */
const broken = bent({
  plan: { nodes: 3, services: 1, safetyMs: 5_000, smallJournal: false },
  faults: { resetMs: 150, delayMeanMs: 10, silentLoss: 0.02 },
  work: { ...STEADY, keyless: 0.4, requests: 0 },
  each: { slow: 0.7, slowMs: 250, timeoutMs: 1_500, concurrency: 16, durable: true },
});

/** Connections break and processes die while long syncs are under way. */
const shaken = bent({
  plan: { nodes: 3, services: 1, safetyMs: 6_000, heldMax: 16_384, smallJournal: false },
  faults: { resetMs: 100, crashMs: 700, syncMeanMs: 100 },
  work: { ...STEADY, expiring: 0 },
  each: { sends: 1, durable: true },
});

/** Members are cut off and paused for longer than their leases, and come back. */
const apart = bent({
  plan: { nodes: 4, services: 1, safetyMs: 9_000, heldMax: 16_384, leaseMs: 1_000 },
  faults: { partitionMs: 700, pauseMs: 900, delayMeanMs: 10 },
  work: { ...STEADY, everyMs: 30, expiring: 0 },
  each: { sends: 1, slow: 1, slowMs: 60, durable: true, hang: 0 },
});

/** Many ask those who cannot be reached. */
const asking = bent({
  plan: { nodes: 3, services: 1, safetyMs: 6_000 },
  faults: { partitionMs: 500, pauseMs: 700 },
  work: { ...STEADY, requests: 0.6 },
});

/** Members come one after the other, while keys that many produce are handled slowly; nothing fails. */
const crowd = bent({
  plan: { isCalm: true, nodes: 4, services: 1, safetyMs: 7_000, startSpreadMs: 4_000 },
  faults: {},
  work: { ...STEADY, everyMs: 15, messages: 250, keys: 20, keyless: 0, expiring: 0 },
  each: { slow: 1, slowMs: 60, timeoutMs: 1_500, concurrency: 16, distribution: "key", hang: 0 },
});

/** One node dies again and again, and its wall clock jumps. */
const alone = bent({
  plan: { nodes: 1, services: 1, safetyMs: 6_000, smallJournal: false },
  faults: { crashMs: 500, clockJumpMs: 400 },
  work: { ...STEADY, messages: 300, everyMs: 15, keyless: 0, delayed: 0, expiring: 0 },
  each: { distribution: "key", durable: true, hang: 0 },
});

/** Event loops stand still again and again, their processes answer, and nothing fails. */
const blocked = bent({
  plan: {
    isCalm: true,
    nodes: 4,
    services: 1,
    safetyMs: 15_000,
    stalls: { blockMs: 1_500, heartbeatless: 0, stalledMaxMs: 60_000 },
    membership: "lan",
    pieces: undefined,
    heartbeatMs: 250,
    leaseMs: 1_000,
    startSpreadMs: 0,
  },
  faults: {},
  work: { ...STEADY, expiring: 0 },
});

/** Much is said to few slow handlers. */
const flood = bent({
  plan: { isCalm: true, nodes: 2, services: 1, safetyMs: 4_000, smallJournal: false },
  faults: {},
  work: { ...STEADY, messages: 300, everyMs: 0.2, emits: 0, expiring: 0 },
  each: { slow: 1, slowMs: 60, timeoutMs: 1_500, concurrency: 1, prefetch: 4, durable: true },
});

/** Handlers take longer than they may. */
const tardy = bent({
  plan: { isCalm: true, nodes: 2, services: 1, safetyMs: 5_000, smallJournal: false },
  faults: {},
  work: { ...STEADY, messages: 40, keys: 20, expiring: 0 },
  each: { slow: 1, slowMs: 400, timeoutMs: 300, attempts: 2, concurrency: 16, durable: true },
});

const shaped = (shape: Shape): Ground => ({ scenario: NO_SCENARIO, shape });

export const GROUNDS: Readonly<Record<string, Ground>> = {
  any: { scenario: undefined },
  crashes: shaped(crashes),
  holding: shaped(holding),
  failing: shaped(failing),
  lone: shaped(lone),
  tight: shaped(tight),
  rotten: shaped(rotten),
  repeated: shaped(repeated),
  broken: shaped(broken),
  shaken: shaped(shaken),
  apart: shaped(apart),
  blocked: shaped(blocked),
  flood: shaped(flood),
  alone: shaped(alone),
  crowd: shaped(crowd),
  asking: shaped(asking),
  tardy: shaped(tardy),
};

/** A ground of its own, or a scenario of the simulation. */
export const groundOf = (name: string): Ground => GROUNDS[name] ?? { scenario: name };
