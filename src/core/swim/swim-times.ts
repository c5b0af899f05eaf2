/**
 * Presets of the membership: how often, how long, how many.
 *
 * `default` and `wan` have memberlist's intervals of its LAN and WAN profiles; `lan` is for services that
 * wait for a dead member's work. Each preset accuses after two rounds instead of one: a round costs
 * `probeMs`, and a false suspicion costs words to every member.
 * Source: memberlist, config.go (DefaultLANConfig, DefaultWANConfig); docs/membership.md compares them.
 */

export type SwimTimes = {
  /** One member is probed so often, and a round of a probe takes so long. */
  readonly probeMs: number;
  /** Without an answer by then others are asked to try. */
  readonly timeoutMs: number;
  /** Rounds without an answer that make a suspicion. */
  readonly rounds: number;
  /** Members asked to try. */
  readonly helpers: number;
  readonly suspicionMult: number;
  readonly suspicionMaxMult: number;
  /** No suspicion is shorter: so long it takes to hear that a blocked member's process lives. */
  readonly suspicionFloorMs: number;
  readonly confirmations: number;
  readonly gossipMs: number;
  readonly gossipFanout: number;
  /** SWIM's lambda. */
  readonly spreadMult: number;
  /** A piece of the table is compared with a neighbour's so often. */
  readonly exchangeMs: number;
  /** One of the dead is called so often. */
  readonly reachMs: number;
  readonly tombstoneMs: number;
  /** How long a sign of a blocked member's process counts. */
  readonly pulseMs: number;
};

const COMMON = {
  rounds: 2,
  helpers: 3,
  confirmations: 3,
  spreadMult: 4,
  tombstoneMs: 3_600_000,
  pulseMs: 1_100,
  suspicionFloorMs: 0,
} as const;

export const SWIM_TIMES = Object.freeze({
  lan: {
    ...COMMON,
    probeMs: 150,
    timeoutMs: 75,
    suspicionMult: 4,
    suspicionMaxMult: 4,
    gossipMs: 100,
    gossipFanout: 3,
    exchangeMs: 2_000,
    reachMs: 500,
  },
  default: {
    ...COMMON,
    probeMs: 1_000,
    timeoutMs: 500,
    suspicionMult: 4,
    suspicionMaxMult: 6,
    gossipMs: 200,
    gossipFanout: 3,
    exchangeMs: 10_000,
    reachMs: 2_000,
  },
  wan: {
    ...COMMON,
    probeMs: 5_000,
    timeoutMs: 3_000,
    suspicionMult: 6,
    suspicionMaxMult: 6,
    gossipMs: 500,
    gossipFanout: 4,
    exchangeMs: 30_000,
    reachMs: 10_000,
    pulseMs: 5_000,
  },
}) satisfies Record<string, SwimTimes>;

export type SwimPreset = keyof typeof SWIM_TIMES;

/** A sign of a blocked member comes within so many heartbeats, and then with each. */
const FLOOR_BEATS = 3;
const PULSE_BEATS = 2.5;

/** A preset where the processes of members are heard so often. */
export const swimTimes = (preset: SwimPreset, heartbeatMs: number): SwimTimes => {
  const times = SWIM_TIMES[preset];
  return {
    ...times,
    suspicionFloorMs: FLOOR_BEATS * heartbeatMs,
    pulseMs: Math.max(times.pulseMs, PULSE_BEATS * heartbeatMs),
  };
};
