/**
 * Streams of messages from one process to another: at most once, and durably to confirmed, handled and
 * acknowledged. Each beside raw sockets, which promise nothing.
 */
import type { Bench } from "../bench.ts";
import { PAYLOAD_BYTES } from "../children/payload.ts";
import { type Case, compare } from "../compare.ts";
import { contendersOf } from "../contenders.ts";
import type { Row } from "../row.ts";
import { openStream, WINDOW } from "../stream-pair.ts";
import { aboutSystem, canCarry, type SystemName } from "../systems.ts";

const PREFETCH = 2_048;
const PAYLOADS = [16, PAYLOAD_BYTES, 1_024, 65_536] as const;
const SUMMED = ["lost", "reordered", "duplicates"];

/** It is what "meshbus" is. */
const NOT_QUICK: readonly SystemName[] = ["meshbus-stream"];

const EMITTING: readonly SystemName[] = [
  "meshbus",
  "meshbus-json",
  "meshbus-stream",
  "meshbus-zeromq",
  "meshbus-grpc",
  "raw-zeromq",
  "raw-tcp",
  "nats",
  "rabbitmq",
  "redis",
  "mosquitto",
  "moleculer",
  "cote",
  "grpc",
];

const PUBLISHING: readonly SystemName[] = [
  "meshbus",
  "meshbus-json",
  "meshbus-stream",
  "meshbus-keys",
  "meshbus-zeromq",
  "meshbus-grpc",
  "raw-zeromq",
  "raw-tcp",
  "jetstream",
  "jetstream-synced",
  "rabbitmq",
  "rabbitmq-quorum",
  "redis-streams",
  "redis-streams-everysec",
  "mosquitto-qos1",
];

const cases = (bench: Bench) =>
  (bench.flags.quick ? [PAYLOAD_BYTES] : PAYLOADS).map((payloadBytes) => ({ payloadBytes }));

export const throughputEmit = (bench: Bench): Promise<Row[]> => {
  const spec = { sharing: "one", members: 1, prefetch: PREFETCH } as const;
  const seconds = bench.pick(0.5, 0.3);
  return compare(bench, {
    scenario: "throughput-emit",
    cases: cases(bench),
    rounds: bench.pick(5, 3),
    summed: SUMMED,
    compared: "msgPerSec",
    contenders: contendersOf(bench, "once", EMITTING, NOT_QUICK, (ground) =>
      openStream(bench, ground, { ...spec, durable: false, seconds }),
    ),
  });
};

/**
 * In a full run one system is open at a time: who waits for all others has its memory and its compiled code taken away
 * meanwhile, the more so the longer it waits.
 */
export const throughputDurable = async (bench: Bench): Promise<Row[]> => {
  const spec = { sharing: "one", members: 1, prefetch: PREFETCH } as const;
  const seconds = bench.pick(0.5, 0.3);
  const alone = bench.pick(1, 0) === 1;
  const all = cases(bench);
  const rows = await compare(bench, {
    scenario: "throughput-durable",
    alone,
    synced: true,
    cases: all,
    rounds: bench.pick(5, 3),
    summed: SUMMED,
    compared: "msgPerSec",
    contenders: contendersOf(
      bench,
      "durable",
      PUBLISHING,
      NOT_QUICK,
      async (ground) => {
        const { system } = ground;
        const durable = !system.startsWith("raw-");
        if (!alone) return openStream(bench, ground, { ...spec, durable, seconds });
        await bench.servers.restBut(aboutSystem(system).server);
        const pair = await openStream(bench, ground, { ...spec, durable, seconds });
        for (const what of all) {
          const { payloadBytes } = what;
          const takesPart =
            canCarry(system, payloadBytes) && lackOf(system, payloadBytes) === undefined;
          if (takesPart) await pair.round(0, true, what);
        }
        return pair;
      },
      { window: WINDOW, prefetch: PREFETCH },
    ).map((contender) => ({
      ...contender,
      lacks: (what: Case) => lackOf(contender.system, what.payloadBytes) ?? contender.lacks?.(what),
    })),
  });
  bench.servers.goOn();
  return rows;
};

const lackOf = (system: string, payloadBytes: number): string | undefined =>
  system === "jetstream-synced" && payloadBytes !== PAYLOAD_BYTES
    ? "a sync a message takes minutes"
    : undefined;
