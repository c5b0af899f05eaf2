/** What waits for a durable subscriber that is away: what it costs in memory, and how fast it drains. */
import type { Bench } from "../bench.ts";
import type { ArrivalReport } from "../children/arrivals.ts";
import { nowNs } from "../children/arrivals.ts";
import type { BacklogFill, BacklogSubscribe } from "../children/backlog.ts";
import { PAYLOAD_BYTES } from "../children/payload.ts";
import type { Row } from "../row.ts";
import { rounded } from "../statistics.ts";

const STEP_MS = 20_000;
const WORK_MS = 120_000;
const PREFETCH = 2_048;

export const backlog = async (bench: Bench): Promise<Row[]> => {
  const messages = 1_000_000; // also when quick: memory is the point
  const head = { scenario: "backlog", system: "meshbus", payloadBytes: PAYLOAD_BYTES, messages };
  try {
    return [{ ...head, ...(await measure(bench, messages)) }];
  } catch (error) {
    return [{ ...head, failed: String(error) }];
  }
};

const measure = async (bench: Bench, count: number): Promise<Record<string, number>> => {
  const mesh = bench.mesh();
  const producer = await bench.start("backlog");
  const place = { mesh, dataDir: bench.folder() };
  const address = await producer.call<string>("produce", place, STEP_MS);
  const sink = { mesh, dataDir: bench.folder(), address, count, prefetch: PREFETCH };
  const subscribe = async (): Promise<Awaited<ReturnType<Bench["start"]>>> => {
    const child = await bench.start("backlog");
    await child.call("subscribe", sink satisfies BacklogSubscribe, STEP_MS);
    return child;
  };
  const before = await subscribe();
  await producer.call("met", undefined, STEP_MS);
  await before.stop();
  await producer.call("alone", undefined, STEP_MS);
  const fill = await producer.call<BacklogFill>("fill", { count }, WORK_MS);
  bench.progress(`backlog meshbus: ${count} accepted, rssAnonMb=${rounded(fill.rssAnonMb, 1)}`);
  const after = await subscribe();
  const drained = await after.call<ArrivalReport & { subscribedNs: number }>(
    "drained",
    undefined,
    WORK_MS,
  );
  const settledNs = await whenSettled(producer);
  await after.stop();
  await producer.stop();
  const seconds = (Math.max(settledNs, drained.lastNs) - drained.subscribedNs) / 1e9;
  return {
    rssAnonMb: rounded(fill.rssAnonMb, 1),
    rssAnonPeakMb: rounded(fill.rssAnonPeakMb, 1),
    fillMsgPerSec: Math.round(fill.fillMsgPerSec),
    drainMsgPerSec: Math.round(drained.received / seconds),
    lost: drained.lost,
    reordered: drained.reordered,
    duplicates: drained.duplicates,
    prefetch: PREFETCH,
  };
};

const whenSettled = async (producer: Awaited<ReturnType<Bench["start"]>>): Promise<number> => {
  const deadlineNs = nowNs() + STEP_MS * 1e6;
  while (nowNs() < deadlineNs) {
    if ((await producer.call<number>("pending", undefined, STEP_MS)) === 0) return nowNs();
  }
  throw new Error(`messages were still pending ${STEP_MS} ms after the last arrived`);
};
