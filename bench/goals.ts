/**
 * What is asked of meshbus, and whether the rows of this run say so. A goal stands on the row of the system that meshbus
 * is compared with, or on meshbus's own.
 */
import { PAYLOAD_BYTES } from "./children/payload.ts";
import type { Row } from "./row.ts";

type Verdict = { readonly measured: string; readonly met: boolean };

type Goal = {
  readonly scenario: string;
  readonly systems: readonly string[];
  readonly level?: string;
  readonly text: string;
  /** Undefined: the run has not measured what is needed. */
  judge(row: Row, rows: readonly Row[]): Verdict | undefined;
};

const times = (value: number): string => `${value.toPrecision(3)} x`;

/** meshbus's figure divided by theirs, as `compare` made it round by round. */
const ratio =
  (holds: (ratio: number) => boolean) =>
  ({ meshbusRatio }: Row): Verdict | undefined =>
    typeof meshbusRatio === "number"
      ? { measured: times(meshbusRatio), met: holds(meshbusRatio) }
      : undefined;

const atLeast = (least: number) => ({
  text: `meshbus at least ${least} x this`,
  judge: ratio((value) => value >= least),
});
const atMost = (most: number) => ({
  text: `meshbus at most ${most} x this`,
  judge: ratio((value) => value <= most),
});
const below = { text: "meshbus below this", judge: ratio((value) => value < 1) };
const above = { text: "meshbus above this", judge: ratio((value) => value > 1) };

/** A figure of meshbus's row in the same scenario below theirs. */
const figureBelow = (
  figure: string,
  ours: string,
  what: string,
): Omit<Goal, "scenario" | "systems"> => ({
  text: `meshbus's ${what} below this`,
  judge: (row, rows) => {
    const mine = rows.find(
      ({ scenario, system, payloadBytes }) =>
        scenario === row.scenario && system === ours && payloadBytes === row.payloadBytes,
    )?.[figure];
    const theirs = row[figure];
    if (typeof mine !== "number" || typeof theirs !== "number") return undefined;
    return { measured: `${what} ${times(mine / theirs)}`, met: mine < theirs };
  },
});

const BROKERS_DURABLE = [
  "jetstream",
  "jetstream-synced",
  "rabbitmq",
  "rabbitmq-quorum",
  "redis-streams",
  "redis-streams-everysec",
  "mosquitto-qos1",
];
const BACKLOG_MB = 100;
const DRAIN_SHARE = 0.8;

const GOALS: readonly Goal[] = [
  { scenario: "rtt", systems: ["raw-tcp"], ...atMost(1.3) },
  {
    scenario: "rtt",
    systems: ["cote", "moleculer", "nats", "rabbitmq", "grpc", "redis", "mosquitto"],
    ...below,
  },
  { scenario: "rtt-load", systems: ["nats"], level: "50%", ...atMost(0.5) },
  { scenario: "rtt-load", systems: ["nats"], level: "same rate", ...atMost(0.5) },
  { scenario: "throughput-emit", systems: ["nats"], ...atLeast(3) },
  { scenario: "throughput-emit", systems: ["raw-zeromq"], ...atLeast(4) },
  { scenario: "throughput-emit", systems: ["moleculer"], ...atLeast(15) },
  { scenario: "throughput-durable", systems: ["raw-zeromq"], ...above },
  { scenario: "throughput-durable", systems: ["jetstream", "rabbitmq-quorum"], ...atLeast(12) },
  { scenario: "throughput-durable", systems: ["redis-streams"], ...atLeast(6) },
  // Encrypted at least 0.6 of plain.
  { scenario: "throughput-durable", systems: ["meshbus-keys"], ...atMost(1.66) },
  {
    scenario: "throughput-durable",
    systems: BROKERS_DURABLE,
    ...figureBelow("cpuSecPerMillion", "meshbus", "processor time"),
  },
  { scenario: "fan-out", systems: ["nats"], ...atLeast(2) },
  {
    scenario: "fail-over",
    systems: BROKERS_DURABLE,
    ...figureBelow("p50Ms", "meshbus-any", "fail-over"),
  },
  {
    scenario: "backlog",
    systems: ["meshbus"],
    text: `below ${BACKLOG_MB} MB`,
    judge: ({ rssAnonMb }) =>
      typeof rssAnonMb === "number"
        ? { measured: `${rssAnonMb} MB`, met: rssAnonMb < BACKLOG_MB }
        : undefined,
  },
  {
    scenario: "backlog",
    systems: ["meshbus"],
    text: `drained at ${DRAIN_SHARE} x the live rate or more`,
    judge: ({ drainMsgPerSec }, rows) => {
      const live = rows.find(
        ({ scenario, system, payloadBytes }) =>
          scenario === "throughput-durable" &&
          system === "meshbus" &&
          payloadBytes === PAYLOAD_BYTES,
      )?.msgPerSec;
      if (typeof live !== "number" || typeof drainMsgPerSec !== "number") return undefined;
      const share = drainMsgPerSec / live;
      return { measured: times(share), met: share >= DRAIN_SHARE };
    },
  },
];

/** Counters of what must not happen. */
const LOSSES = ["lost", "reordered"] as const;

const lossOf = (row: Row): string | undefined => {
  const found = LOSSES.filter((name) => Number(row[name] ?? 0) > 0);
  return found.length === 0 ? undefined : found.map((name) => `${name} ${row[name]}`).join(", ");
};

/** The rows with their losses named and their goals judged. */
export const judged = (rows: readonly Row[]): Row[] => {
  const marked = rows.map((row): Row => {
    const noResult = lossOf(row);
    return noResult === undefined ? row : { ...row, noResult };
  });
  const results = marked.filter(({ noResult }) => noResult === undefined);
  return marked.map((row) => {
    if (row.payloadBytes !== PAYLOAD_BYTES || row.noResult !== undefined) return row;
    const goals = GOALS.filter(
      ({ scenario, systems, level }) =>
        scenario === row.scenario &&
        systems.includes(row.system) &&
        (level === undefined || level === row.level),
    );
    const verdicts = goals.flatMap((goal) => {
      const verdict = goal.judge(row, results);
      return verdict === undefined ? [] : [{ goal: goal.text, ...verdict }];
    });
    if (verdicts.length === 0) return row;
    return {
      ...row,
      goal: verdicts.map(({ goal }) => goal).join("; "),
      measured: verdicts.map(({ measured }) => measured).join("; "),
      met: verdicts.every(({ met }) => met),
    };
  });
};
