/**
 * The broker is killed under load and started again at once on the same data, as a supervisor would: how long until
 * messages flow again, and whether what it had confirmed is still there. meshbus has no such process.
 */
import type { ConsumeOptions } from "../adapters/adapter.ts";
import type { Bench } from "../bench.ts";
import { PAYLOAD_BYTES } from "../children/payload.ts";
import { nowNs } from "../children/process-time.ts";
import type { Begun } from "../children/streaming.ts";
import { type Ground, groundOf } from "../contenders.ts";
import type { Row } from "../row.ts";
import { median, rounded } from "../statistics.ts";
import { aboutSystem, ackOf, type SystemName } from "../systems.ts";

const PER_SECOND = 2_000;
const PREFETCH = 256;
const STEP_MS = 60_000;
const REST_MS = 500;
const LOOK_MS = 5;
const FLOWS_MS = 30_000;
const LAST_MS = 5_000;

const SYSTEMS: readonly SystemName[] = [
  "meshbus",
  "jetstream",
  "rabbitmq",
  "rabbitmq-quorum",
  "redis-streams",
  "mosquitto-qos1",
];
const NOT_QUICK: readonly SystemName[] = [
  "rabbitmq",
  "rabbitmq-quorum",
  "redis-streams",
  "mosquitto-qos1",
];

export const serverFailOver = async (bench: Bench): Promise<Row[]> => {
  const rows: Row[] = [];
  for (const system of SYSTEMS.filter((name) => bench.flags.systems.includes(name))) {
    const ack = ackOf(system, "durable");
    const head = { scenario: "server-fail-over", system, payloadBytes: PAYLOAD_BYTES, ack };
    if (aboutSystem(system).server === undefined) {
      rows.push({ ...head, missing: "it has no server that could die" });
      continue;
    }
    if (bench.flags.quick && NOT_QUICK.includes(system)) {
      rows.push({ ...head, missing: "not part of a quick run" });
      continue;
    }
    try {
      const ground = await groundOf(bench, system, true);
      if ("missing" in ground) rows.push({ ...head, missing: ground.missing });
      else rows.push({ ...head, ...(await measure(bench, ground, bench.pick(2, 1))) });
    } catch (error) {
      rows.push({ ...head, failed: String(error) });
    }
  }
  return rows;
};

const measure = async (
  bench: Bench,
  ground: Ground,
  kills: number,
): Promise<Record<string, number>> => {
  const { system } = ground;
  const server = ground.server as NonNullable<Ground["server"]>;
  const seen = new Set<number>();
  let latest = -1;
  let begun = 0;
  const consumer = await bench.start("streaming");
  consumer.onNews = (news) => {
    for (const [at, sequence] of (news as Begun).entries()) {
      if (at % 2 === 1) continue;
      begun++;
      seen.add(sequence);
      latest = Math.max(latest, sequence);
    }
  };
  const shape = { durable: true, sharing: "one", members: 1, addresses: [] } as const;
  const options: ConsumeOptions = { ...shape, index: 0, prefetch: PREFETCH };
  const place = ground.place(true);
  await consumer.call("consume", { system, place, options, handleMs: 0 }, STEP_MS);
  const producer = await bench.start("streaming");
  await producer.call("produce", { system, place: ground.place(true), options: shape }, STEP_MS);
  const pace = { perSecond: PER_SECOND, payloadBytes: PAYLOAD_BYTES };
  const startUs = await producer.call<number>("go", pace, STEP_MS);
  const downMs: number[] = [];
  const readyMs: number[] = [];
  for (let kill = 0; kill < kills; kill++) {
    await until(() => latest > 0 && nowNs() / 1_000 > startUs + REST_MS * 1_000, FLOWS_MS);
    await pause(REST_MS);
    const killUs = nowNs() / 1_000;
    await server.crash();
    readyMs.push(await server.start());
    const due = ((nowNs() / 1_000 - startUs) / 1e6) * PER_SECOND;
    // Flows again: one that was not due before the server was back.
    await until(() => latest >= due, FLOWS_MS);
    downMs.push((nowNs() / 1_000 - killUs) / 1_000);
    bench.progress(`server-fail-over ${system}: ms=${rounded(downMs.at(-1) ?? 0, 0)}`);
  }
  const { said, refused } = await producer.call<{ said: number; refused: number }>(
    "halt",
    undefined,
    STEP_MS,
  );
  await until(() => seen.size >= said, LAST_MS).catch(() => {}); // what is missing is lost
  await consumer.stop();
  await producer.stop();
  await server.stop();
  return {
    downMs: rounded(median(downMs), 0),
    downMaxMs: rounded(Math.max(...downMs), 0),
    serverReadyMs: rounded(median(readyMs), 0),
    lost: said - seen.size,
    repeats: begun - seen.size,
    refused,
    kills,
    perSecond: PER_SECOND,
  };
};

const until = async (holds: () => boolean, limitMs: number): Promise<void> => {
  for (let ms = 0; !holds(); ms += LOOK_MS) {
    if (ms > limitMs) throw new Error(`no message came through in ${limitMs} ms`);
    await pause(LOOK_MS);
  }
};

const pause = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));
