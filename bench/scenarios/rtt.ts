/** Request round trips: one at a time, and at a steady rate that does not wait for answers. */
import type { Bench } from "../bench.ts";
import type { Loaded, RoundTrips } from "../children/asking.ts";
import { PAYLOAD_BYTES } from "../children/payload.ts";
import { type Case, compare, type Pair } from "../compare.ts";
import { contendersOf, type Ground, groundOf } from "../contenders.ts";
import type { Row } from "../row.ts";
import { median } from "../statistics.ts";
import { aboutSystem, type SystemName } from "../systems.ts";

const OPEN_MS = 30_000;
const ROUND_MS = 60_000;
const PAYLOADS = [16, PAYLOAD_BYTES, 1_024, 65_536] as const;
const SYSTEMS: readonly SystemName[] = [
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

/** It is what "meshbus" is. */
const NOT_QUICK: readonly SystemName[] = ["meshbus-stream"];
const QUICK_LOADED: readonly SystemName[] = ["nats", "meshbus", "raw-tcp", "rabbitmq"];
const NOT_QUICK_LOADED = SYSTEMS.filter((name) => !QUICK_LOADED.includes(name));
const NOT_LOADED: readonly SystemName[] = ["nats", "meshbus-json", "meshbus-stream"];
const LOADED: readonly SystemName[] = [
  "nats",
  ...SYSTEMS.filter((name) => !NOT_LOADED.includes(name)),
];

/**
 * Many short rounds: where the scheduler puts two processes that wait for each other changes from round to round, and
 * doubles the time of one or not. Five rounds tell by chance which of the two is seen.
 */
export const rtt = (bench: Bench): Promise<Row[]> => {
  const count = 1_000;
  const payloads = bench.flags.quick ? [PAYLOAD_BYTES] : PAYLOADS;
  return compare(bench, {
    scenario: "rtt",
    cases: payloads.map((payloadBytes) => ({ payloadBytes })),
    rounds: bench.pick(15, 5),
    summed: [],
    compared: "p50Us",
    contenders: contendersOf(bench, "request", SYSTEMS, NOT_QUICK, async (ground) => {
      const { asking, close } = await openAsking(bench, ground);
      return {
        round: (_round, warmUp, { payloadBytes }) => {
          const share = payloadBytes > 4_096 ? 4 : 1;
          const run = { count: Math.ceil((warmUp ? 2 * count : count) / share), payloadBytes };
          return asking.call<RoundTrips>("ask", run, ROUND_MS);
        },
        close,
      };
    }),
  });
};

/**
 * Shares of what each system did at most, and one rate for all: half of what NATS did, the slowest of the
 * systems that a goal names for this. Without it, that rate is not measured.
 */
const SHARES = { "20%": 0.2, "50%": 0.5, "80%": 0.8, "same rate": 0.5 } as const;
type Level = keyof typeof SHARES;
const RATE_OF: SystemName = "nats";
const AT_ONCE = 64;

/**
 * One at a time: what this measures are the rare moments in which a process waits for a processor, and a dozen idle
 * systems with their timers, collectors and schedulers take it more often than the one that is asked.
 */
export const rttLoad = async (bench: Bench): Promise<Row[]> => {
  const levels: readonly Level[] = bench.flags.quick
    ? ["50%", "same rate"]
    : ["20%", "50%", "80%", "same rate"];
  const seconds = bench.pick(0.5, 0.3);
  const capacities = new Map<SystemName, number>();
  const openAlone = async (ground: Ground): Promise<Awaited<ReturnType<typeof openAsking>>> => {
    const { system } = ground;
    await bench.servers.restBut(aboutSystem(system).server);
    const opened = await openAsking(bench, ground);
    const { asking } = opened;
    if (capacities.has(system)) await warmUp(bench, asking, PAYLOAD_BYTES);
    else capacities.set(system, await capacityOf(bench, asking, PAYLOAD_BYTES));
    const perSecond = Math.round((capacities.get(system) as number) / 2);
    const run = { perSecond, seconds: bench.pick(0.4, 0.1), payloadBytes: PAYLOAD_BYTES };
    await asking.call("load", run, ROUND_MS); // what was not called yet is compiled
    return opened;
  };
  await rateForAll(bench, openAlone);
  const rows = await compare(bench, {
    scenario: "rtt-load",
    cases: levels.map((level): Case => ({ payloadBytes: PAYLOAD_BYTES, level })),
    rounds: bench.pick(5, 3),
    alone: true,
    summed: ["asked", "lost"],
    compared: "p999Us",
    contenders: contendersOf(bench, "request", LOADED, NOT_QUICK_LOADED, async (ground) => {
      const { system } = ground;
      const { asking, close } = await openAlone(ground);
      return {
        round: async (_round, _warmUp, { payloadBytes, level }) => {
          const own = capacities.get(system) as number;
          const of = level === "same rate" ? (capacities.get(RATE_OF) ?? own) : own;
          const perSecond = Math.round(of * SHARES[level as Level]);
          const run = { perSecond, seconds, payloadBytes };
          const loaded = await asking.call<Loaded>("load", run, ROUND_MS);
          return { ...loaded, perSecond, capacityPerSec: Math.round(own) };
        },
        close,
      };
    }).map((contender) => ({
      ...contender,
      lacks: (what: Case) => {
        if (what.level !== "same rate" || capacities.has(RATE_OF)) return contender.lacks?.(what);
        return "the rate is half of what NATS does, which is not here";
      },
    })),
  });
  bench.servers.goOn();
  return rows;
};

type Asker = Awaited<ReturnType<Bench["start"]>>;

/** What the rate for all is taken from is asked for it before the first round. */
const rateForAll = async (
  bench: Bench,
  openAlone: (ground: Ground) => Promise<{ readonly close: Pair["close"] }>,
): Promise<void> => {
  if (!bench.flags.systems.includes(RATE_OF)) return;
  const ground = await groundOf(bench, RATE_OF);
  if (!("missing" in ground)) await (await openAlone(ground)).close();
};

const warmUp = async (bench: Bench, asking: Asker, payloadBytes: number): Promise<void> => {
  const run = { atOnce: AT_ONCE, ms: bench.pick(500, 150), payloadBytes };
  await asking.call("capacity", run, ROUND_MS);
};

const capacityOf = async (bench: Bench, asking: Asker, payloadBytes: number): Promise<number> => {
  const run = { atOnce: AT_ONCE, ms: bench.pick(500, 150), payloadBytes };
  await warmUp(bench, asking, payloadBytes);
  const seen: number[] = [];
  for (let round = 0; round < bench.pick(3, 2); round++) {
    seen.push(await asking.call<number>("capacity", run, ROUND_MS));
  }
  return median(seen);
};

const openAsking = async (
  bench: Bench,
  { system, place }: Ground,
): Promise<{ asking: Asker; close: Pair["close"] }> => {
  const [answering, asking] = await Promise.all([bench.start("asking"), bench.start("asking")]);
  const address = await answering.call("answer", { system, place: place(false) }, OPEN_MS);
  await asking.call("open", { system, place: place(false), address }, OPEN_MS);
  return {
    asking,
    close: async () => {
      await asking.stop();
      await answering.stop();
    },
  };
};
