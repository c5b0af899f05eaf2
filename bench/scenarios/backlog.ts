/**
 * What waits for a durable consumer that is away: what it costs in memory, and how fast it drains. The memory counted
 * is the growth of the producer and, where there is one, of the broker.
 */
import type { ConsumeOptions } from "../adapters/adapter.ts";
import type { Bench } from "../bench.ts";
import type { Child } from "../child.ts";
import { PAYLOAD_BYTES } from "../children/payload.ts";
import { nowNs } from "../children/process-time.ts";
import type { Memory } from "../children/streaming.ts";
import { mergeTallies, type TallyReport } from "../children/tally.ts";
import { type Ground, groundOf } from "../contenders.ts";
import type { Row } from "../row.ts";
import { rounded } from "../statistics.ts";
import { WINDOW } from "../stream-pair.ts";
import { ackOf, isMeshbus, type SystemName } from "../systems.ts";

const STEP_MS = 30_000;
const WORK_MS = 240_000;
const REST_MS = 1_000;
const PREFETCH = 2_048;
const MILLION = 1_000_000;
const SYSTEMS: readonly SystemName[] = [
  "meshbus",
  "jetstream",
  "rabbitmq",
  "rabbitmq-quorum",
  "redis-streams",
];
const NOT_QUICK: readonly SystemName[] = ["rabbitmq", "rabbitmq-quorum"];

export const backlog = async (bench: Bench): Promise<Row[]> => {
  const rows: Row[] = [];
  for (const system of SYSTEMS.filter((name) => bench.flags.systems.includes(name))) {
    // meshbus has the million also when quick: memory is the point. Brokers would take minutes for theirs.
    const messages = isMeshbus(system) ? MILLION : bench.pick(MILLION / 5, MILLION / 50);
    const ack = ackOf(system, "durable");
    const head = { scenario: "backlog", system, payloadBytes: PAYLOAD_BYTES, ack };
    if (bench.flags.quick && NOT_QUICK.includes(system)) {
      rows.push({ ...head, missing: "not part of a quick run" });
      continue;
    }
    try {
      const ground = await groundOf(bench, system, true);
      if ("missing" in ground) rows.push({ ...head, missing: ground.missing });
      else rows.push({ ...head, messages, ...(await measure(bench, ground, messages)) });
    } catch (error) {
      rows.push({ ...head, messages, failed: String(error) });
    }
  }
  return rows;
};

const measure = async (
  bench: Bench,
  ground: Ground,
  count: number,
): Promise<Record<string, number>> => {
  const { system, server } = ground;
  const addresses: string[] = [];
  const options = {
    durable: true,
    sharing: "one",
    index: 0,
    members: 1,
    prefetch: PREFETCH,
  } as const;
  const sink = ground.place(true);
  const source = { system, place: ground.place(true) };
  const first = await bench.start("streaming");
  const consume = (child: Child): Promise<string | undefined> => {
    const place = {
      system,
      place: sink,
      options: { ...options, addresses } satisfies ConsumeOptions,
    };
    return child.call<string | undefined>("consume", place, STEP_MS);
  };
  const address = await consume(first);
  const producer = await bench.start("streaming");
  const known = address === undefined ? [] : [address];
  await producer.call("produce", { ...source, options: { ...options, addresses: known } }, STEP_MS);
  await producer.call("met", { members: 1 }, STEP_MS);
  const producing = await producer.call<string | undefined>("address", undefined, STEP_MS);
  if (producing !== undefined) addresses.push(producing);
  await first.stop();
  await producer.call("alone", undefined, STEP_MS);

  const memory = async (): Promise<number> => {
    const { rssAnonMb } = await producer.call<Memory>("memory", undefined, STEP_MS);
    return rssAnonMb + (server?.figures().rssAnonMb ?? 0);
  };
  const before = await memory();
  const own = (await producer.call<Memory>("memory", undefined, STEP_MS)).rssAnonMb;
  const run = { round: 1, count, payloadBytes: PAYLOAD_BYTES, window: WINDOW };
  const fill = await producer.call<{ seconds: number; rssAnonPeakMb: number }>(
    "fill",
    run,
    WORK_MS,
  );
  const brokerGrowth = (await memory()) - before;
  await new Promise<void>((resolve) => void setTimeout(resolve, REST_MS));
  const rssAnonMb = (await memory()) - before;
  bench.progress(`backlog ${system}: ${count} accepted, rssAnonMb=${rounded(rssAnonMb, 1)}`);

  const second = await bench.start("streaming");
  await second.call("begin", { round: 1, count, order: "all" }, STEP_MS);
  const startNs = nowNs();
  await consume(second);
  const report = await second.call<TallyReport>("finish", undefined, WORK_MS);
  await producer.call("settled", undefined, WORK_MS);
  const ackedNs = await second.call<number>("acked", undefined, WORK_MS);
  const { received, lost, reordered, duplicates, lastNs } = mergeTallies([report], count);
  const endNs = Math.max(lastNs, ackedNs, ground.server === undefined ? nowNs() : 0);
  await second.stop();
  await producer.stop();
  await server?.stop();
  const drainMsgPerSec = Math.round(received / ((endNs - startNs) / 1e9));
  bench.progress(`backlog ${system}: drainMsgPerSec=${drainMsgPerSec}`);
  return {
    rssAnonMb: rounded(rssAnonMb, 1),
    rssAnonPeakMb: rounded(Math.max(fill.rssAnonPeakMb - own, brokerGrowth), 1),
    fillMsgPerSec: Math.round(count / fill.seconds),
    drainMsgPerSec,
    lost,
    reordered,
    duplicates,
    prefetch: PREFETCH,
  };
};
