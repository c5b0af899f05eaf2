/**
 * What one seed does: which mesh, which work, which faults. Swarm style: every seed has its own subset, so
 * that rare combinations come up that no single mix would bring.
 */
import type { PieceSizes } from "../../src/core/piece-sender.ts";
import type { SwimPreset } from "../../src/core/swim/swim-times.ts";
import type { BreakerOptions, RateOptions } from "../../src/options/read-flow.ts";
import { SeededRandom } from "../../src/testing/seeded-random.ts";

export type SubscriptionPlan = {
  readonly role: "events" | "commands";
  readonly pattern: string;
  readonly service: string;
  readonly group: string | false;
  readonly durable: boolean;
  readonly distribution: "key" | "any";
  readonly failover: "move" | "wait";
  readonly onDead: "continue" | "hold";
  readonly from: "new" | "earliest";
  readonly concurrency: number;
  readonly prefetch: number;
  readonly timeoutMs: number;
  readonly attempts: number;
  readonly retryBaseMs: number;
  readonly retryCapMs: number;
  /** Members subscribe so long after their node is up. */
  readonly lateMs: number;
  readonly flaky: number;
  readonly poison: number;
  readonly hang: number;
  readonly slow: number;
  readonly slowMs: number;
  /** Probability that a handler sends something through ctx. */
  readonly sends: number;
  readonly filter: boolean;
  readonly breaker: BreakerOptions | false;
  readonly rate: RateOptions | undefined;
  /** Subject of what handlers send, and large bodies for it, in place of `EFFECT`. */
  readonly effect?: string;
  /** Only instances of this version have it. */
  readonly version?: Version;
};

export type Version = "old" | "new";

export type WorkPlan = {
  readonly messages: number;
  readonly everyMs: number;
  readonly keys: number;
  /** These keys instead of `keys` numbered ones. */
  readonly keyNames?: readonly string[];
  /** Events of these subjects, in place of all. */
  readonly subjects?: readonly string[];
  readonly keyless: number;
  readonly bytesMax: number;
  readonly commands: number;
  readonly many: number;
  readonly delayed: number;
  readonly expiring: number;
  readonly emits: number;
  readonly requests: number;
  readonly awaited: number;
  readonly idempotent: number;
};

export type FaultPlan = {
  /** Mean milliseconds between two of a kind; 0: never. */
  readonly crashMs: number;
  readonly powerLoss: number;
  readonly restartMs: number;
  readonly pauseMs: number;
  readonly partitionMs: number;
  readonly clogMs: number;
  readonly resetMs: number;
  readonly delayMeanMs: number;
  readonly loss: number;
  readonly silentLoss: number;
  readonly duplicate: number;
  readonly reorder: number;
  readonly syncMeanMs: number;
  readonly syncFails: number;
  readonly diskFullMs: number;
  readonly bitFlip: number;
  readonly clockRate: number;
  readonly clockSkewMs: number;
  readonly clockJumpMs: number;
  readonly discoveryDrop: number;
  readonly discoveryLies: number;
};

export type Plan = {
  readonly nodes: number;
  readonly services: number;
  readonly safetyMs: number;
  readonly smallJournal: boolean;
  readonly heldMax: number;
  readonly inFlightMax: number;
  readonly lookAheadMax: number;
  readonly heartbeatMs: number;
  readonly leaseMs: number;
  readonly startSpreadMs: number;
  /** When each node starts, in place of the spread. */
  readonly startsMs?: readonly number[];
  /** Marks of a producer not seen for so long are dropped. */
  readonly forgetMs?: number;
  /** A node has a wall clock that is far off: nothing may depend on delays. */
  readonly clockIsWrong?: boolean;
  /** A replayed dead letter is no longer poison. */
  readonly replaysSucceed?: boolean;
  readonly subscriptions: readonly SubscriptionPlan[];
  readonly work: WorkPlan;
  readonly faults: FaultPlan;
  readonly isCalm: boolean;
  readonly stalls: StallPlan;
  readonly membership: SwimPreset;
  /** How large frames travel, where it is not as on a real network. */
  readonly pieces: PieceSizes | undefined;
};

export type StallPlan = {
  /** Mean milliseconds between two blocks of an event loop; 0: never. */
  readonly blockMs: number;
  /** Probability that a node has no heartbeat, as one of an older version. */
  readonly heartbeatless: number;
  readonly stalledMaxMs: number;
};

export const EVENTS = ["ev.a", "ev.b", "ev.c"] as const;
export const COMMANDS = ["cmd.a", "cmd.b"] as const;
/** What handlers send. */
export const EFFECT = "fx.out";

const serviceName = (index: number): string => `s${index}`;

export const planOf = (random: SeededRandom): Plan => {
  const isCalm = random.chance(0.08);
  const nodes = random.integer(2, random.chance(0.3) ? 6 : 4);
  const services = random.integer(1, Math.min(3, nodes));
  const smallJournal = random.chance(0.1);
  const faults = isCalm ? calm(random) : faultsOf(random);
  return {
    nodes,
    services,
    safetyMs: random.integer(2_000, random.chance(0.2) ? 25_000 : 9_000),
    smallJournal,
    heldMax: random.chance(0.15) ? random.integer(1, 8) : 16_384,
    inFlightMax: random.chance(0.2) ? random.integer(1, 64) : 16_384,
    lookAheadMax: random.chance(0.2) ? random.integer(1, 32) : 8_192,
    heartbeatMs: random.pick([100, 250, 250, 500]),
    leaseMs: random.pick([1_000, 1_000, 2_000]),
    startSpreadMs: random.chance(0.5) ? 0 : random.integer(0, 4_000),
    subscriptions: subscriptionsOf(random, services, isCalm),
    work: workOf(random, smallJournal, faults),
    faults,
    isCalm,
    stalls: stallsOf(random.fork("stalls"), isCalm),
    membership: random.fork("membership").pick(["lan", "default", "default", "wan"]),
    pieces: piecesOf(random.fork("pieces")),
  };
};

/** In two seeds of five nearly every frame of messages is a large one. */
const piecesOf = (random: SeededRandom): PieceSizes | undefined => {
  if (!random.chance(0.4)) return undefined;
  const pieceBytes = random.pick([500, 1_000, 2_000]);
  return {
    wholeBytesMax: random.pick([100, 500, 3_000]),
    pieceBytes,
    windowBytesMin: 4 * pieceBytes,
    windowBytesMax: pieceBytes * random.pick([4, 16, 64]),
  };
};

/** A calm mesh may stall too: then nobody may be taken for dead. */
const stallsOf = (random: SeededRandom, isCalm: boolean): StallPlan => ({
  blockMs: random.chance(isCalm ? 0.5 : 0.3) ? random.between(500, 6_000) : 0,
  heartbeatless: !isCalm && random.chance(0.3) ? random.fraction() : 0,
  stalledMaxMs: !isCalm && random.chance(0.2) ? random.integer(0, 4_000) : 60_000,
});

const subscriptionsOf = (
  random: SeededRandom,
  services: number,
  isCalm: boolean,
): SubscriptionPlan[] => {
  const plans: SubscriptionPlan[] = [];
  const count = random.integer(1, 5);
  for (let index = 0; index < count; index++) {
    const service = serviceName(random.integer(0, services - 1));
    const pattern = random.pick(["ev.a", "ev.b", "ev.c", "ev.*", "ev.>", "ev.a", EFFECT]);
    const group = random.chance(0.15) ? (false as const) : random.chance(0.3) ? "shared" : service;
    if (plans.some((other) => other.pattern === pattern && other.group === group)) continue;
    plans.push(subscriptionOf(random, { role: "events", service, pattern, group }, isCalm));
  }
  for (const pattern of COMMANDS) {
    const service = serviceName(random.integer(0, services - 1));
    if (random.chance(0.6)) {
      plans.push(
        subscriptionOf(random, { role: "commands", service, pattern, group: service }, isCalm),
      );
    }
  }
  return plans;
};

const subscriptionOf = (
  random: SeededRandom,
  what: Pick<SubscriptionPlan, "role" | "service" | "pattern" | "group">,
  isCalm: boolean,
): SubscriptionPlan => {
  const isCommand = what.role === "commands";
  const distribution = random.chance(0.2) ? "any" : "key";
  const canWait = what.group === false || distribution === "key";
  const failover = what.group === false ? "wait" : canWait && random.chance(0.2) ? "wait" : "move";
  const concurrency = random.pick([1, 2, 4, 16]);
  // Also where nothing else fails handlers may, in one subscription of two.
  const fails = isCalm ? random.fork("failing handlers") : random;
  const chance = isCalm && fails.chance(0.5) ? 0 : 1;
  const sometimes = (probability: number, value: number): number =>
    fails.chance(chance * probability) ? value : 0;
  return {
    ...what,
    durable: isCommand || random.chance(0.8),
    distribution,
    failover,
    onDead: distribution === "key" && random.chance(0.25) ? "hold" : "continue",
    from: isCommand || random.chance(0.6) ? "new" : "earliest",
    concurrency,
    prefetch: Math.max(concurrency, random.pick([1, 4, 32, 256])),
    timeoutMs: random.integer(300, 1_500),
    attempts: random.integer(1, 6),
    retryBaseMs: random.pick([1, 20, 200, 3_000]),
    retryCapMs: 3_000,
    lateMs: random.chance(0.3) ? random.integer(0, 3_000) : 0,
    flaky: sometimes(0.4, random.between(0.02, 0.3)),
    poison: sometimes(0.3, random.between(0.01, 0.1)),
    hang: sometimes(0.2, random.between(0.01, 0.05)),
    slow: random.chance(0.5) ? random.between(0.05, 1) : 0,
    slowMs: random.pick([1, 10, 60, 250]),
    sends: what.pattern !== EFFECT && random.chance(0.6) ? random.between(0.1, 1) : 0,
    filter: what.role === "events" && what.pattern !== EFFECT && random.chance(0.1),
    ...flowOf(new SeededRandom(random.seed, `flow ${what.role} ${what.pattern} ${what.group}`)),
  };
};

/** Drawn from a stream of its own, so that the rest of a seed is as it was. */
const flowOf = (random: SeededRandom): Pick<SubscriptionPlan, "breaker" | "rate"> => {
  const openMs = random.pick([5, 50, 400]);
  const breaker = {
    failureShare: random.pick([0.05, 0.2, 0.5]),
    minimum: random.integer(1, 8),
    windowMs: random.pick([200, 2_000]),
    openMs,
    openMsMax: openMs * random.pick([1, 4]),
    probes: random.integer(1, 3),
  };
  const rate = { perSecond: random.pick([40, 200, 1_000]), burst: random.integer(1, 20) };
  return {
    breaker: random.chance(0.25) && breaker,
    rate: random.chance(0.15) ? rate : undefined,
  };
};

const workOf = (random: SeededRandom, smallJournal: boolean, faults: FaultPlan): WorkPlan => {
  const sometimes = (probability: number, max: number): number =>
    random.chance(probability) ? random.between(0, max) : 0;
  return {
    messages: random.integer(20, random.chance(0.2) ? 600 : 150),
    everyMs: random.pick([0.2, 2, 10, 50]),
    keys: random.pick([1, 2, 5, 20, 100]),
    keyless: sometimes(0.3, 0.6),
    bytesMax: smallJournal ? 30_000 : random.pick([16, 16, 200, 200, 20_000]),
    commands: sometimes(0.5, 0.5),
    many: sometimes(0.3, 0.2),
    // A delay is kept as wall time: a clock that jumps an hour makes it an hour.
    delayed: faults.clockJumpMs > 0 ? 0 : sometimes(0.4, 0.3),
    expiring: sometimes(0.3, 0.3),
    emits: sometimes(0.3, 0.3),
    requests: sometimes(0.3, 0.2),
    awaited: sometimes(0.6, 1),
    idempotent: sometimes(0.3, 0.3),
  };
};

const calm = (random: SeededRandom): FaultPlan => ({
  crashMs: 0,
  powerLoss: 0,
  restartMs: 0,
  pauseMs: 0,
  partitionMs: 0,
  clogMs: 0,
  resetMs: 0,
  delayMeanMs: random.pick([0.1, 1, 10]),
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
});

const faultsOf = (random: SeededRandom): FaultPlan => {
  const rate = (probability: number, min: number, max: number): number =>
    random.chance(probability) ? random.between(min, max) : 0;
  return {
    crashMs: rate(0.45, 500, 6_000),
    powerLoss: random.pick([0, 0.5, 1]),
    restartMs: rate(0.25, 1_000, 8_000),
    pauseMs: rate(0.3, 500, 6_000),
    partitionMs: rate(0.4, 500, 6_000),
    clogMs: rate(0.3, 300, 4_000),
    resetMs: rate(0.35, 100, 3_000),
    delayMeanMs: random.pick([0.1, 0.1, 1, 10, 40, 100]),
    loss: rate(0.2, 0.0001, 0.01),
    silentLoss: rate(0.15, 0.001, 0.2),
    duplicate: rate(0.15, 0.001, 0.2),
    reorder: rate(0.15, 0.001, 0.2),
    syncMeanMs: random.pick([0.05, 0.3, 0.3, 5, 50]),
    syncFails: rate(0.25, 0.001, 0.1),
    diskFullMs: rate(0.1, 1_000, 6_000),
    bitFlip: rate(0.06, 0.001, 0.02),
    clockRate: random.chance(0.3) ? random.pick([0.01, 0.01, 0.3]) : 0,
    clockSkewMs: random.chance(0.4) ? random.pick([5, 500, 30_000]) : 0,
    clockJumpMs: rate(0.08, 1_000, 5_000),
    discoveryDrop: rate(0.2, 0.05, 0.8),
    discoveryLies: rate(0.2, 0.02, 0.3),
  };
};
