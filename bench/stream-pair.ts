/**
 * One producer and one or more consumers of a system, opened once; a round is one stream of messages, as many as the
 * system does in a given time.
 */
import type { ConsumeOptions } from "./adapters/adapter.ts";
import type { Bench } from "./bench.ts";
import type { Child } from "./child.ts";
import { PAYLOAD_BYTES } from "./children/payload.ts";
import type { Memory, StreamResult } from "./children/streaming.ts";
import { type MergedTally, mergeTallies, type Order, type TallyReport } from "./children/tally.ts";
import type { Case, Figures, Pair } from "./compare.ts";
import type { Ground } from "./contenders.ts";

export type StreamSpec = {
  readonly durable: boolean;
  readonly sharing: ConsumeOptions["sharing"];
  readonly members: number;
  readonly prefetch: number;
  /** About how long a round takes; half of it for other payloads than that of the goals. */
  readonly seconds: number;
};

export const WINDOW = 2_048;
const WINDOW_BYTES = 8 << 20;
const OPEN_MS = 30_000;
const ROUND_MS = 60_000;
const FIRST_COUNT = 1_000;
/** Warm-up rounds grow until one takes this share of what a round shall take. */
const LONG_ENOUGH = 0.4;
const WARM_UPS_MIN = 5;
const WARM_UPS_MIN_QUICK = 3;
const WARM_UPS_MAX = 8;
const GROWTH_MAX = 8;
const FIRST_BYTES = 16 << 20;
const COUNT_MIN = 400;
const COUNT_MAX = 600_000;
const BYTES_MAX = 256 << 20;
const QUIET_MS = 4_000;
const LOOK_MS = 10;

export const openStream = async (bench: Bench, ground: Ground, spec: StreamSpec): Promise<Pair> => {
  const { consumers, producer } = await openProcesses(bench, ground, spec);
  const counts = new Map<Case, number>();
  const one = async (round: number, what: Case, count: number): Promise<Figures> => {
    const order = orderOf(spec.sharing);
    for (const consumer of consumers) {
      await consumer.call("begin", { round, count, order }, ROUND_MS);
    }
    const before = ground.server?.figures();
    const { payloadBytes } = what;
    const window = spec.durable ? windowOf(payloadBytes) : 0;
    const run = producer.call<StreamResult>(
      "run",
      { round, count, payloadBytes, window },
      ROUND_MS,
    );
    run.catch(() => {}); // awaited below
    const tally = await arrived(consumers, spec, count);
    const { startNs, publishedNs, settledNs, cpuNs } = await run;
    const acked: number[] = [];
    for (const consumer of spec.durable ? consumers : []) {
      acked.push(await consumer.call<number>("acked", undefined, ROUND_MS));
    }
    const endNs = Math.max(tally.lastNs, publishedNs, settledNs, ...acked);
    const after = ground.server?.figures();
    const serverCpuNs = (after?.cpuNs ?? 0) - (before?.cpuNs ?? 0);
    const deliveries = spec.sharing === "all" ? count * spec.members : count;
    let rssMb = after?.rssMb ?? 0;
    for (const child of [producer, ...consumers]) {
      rssMb += (await child.call<Memory>("memory", undefined, ROUND_MS)).rssMb;
    }
    return {
      msgPerSec: tally.received / ((endNs - startNs) / 1e9),
      lost: tally.lost,
      reordered: tally.reordered,
      duplicates: tally.duplicates,
      producerCpuNs: cpuNs / deliveries,
      consumerCpuNs: tally.cpuNs / deliveries,
      serverCpuNs: serverCpuNs / deliveries,
      cpuSecPerMillion: (cpuNs + tally.cpuNs + serverCpuNs) / deliveries / 1_000,
      rssMb,
      messages: count,
    };
  };
  // Rounds of different cases have numbers of their own, so that a straggler of one is none of the next.
  let serial = 0;
  const secondsOf = ({ payloadBytes }: Case): number =>
    payloadBytes === PAYLOAD_BYTES ? spec.seconds : spec.seconds / 2;
  return {
    round: async (_round, warmUp, what) => {
      if (!warmUp) return one(++serial, what, counts.get(what) as number);
      const most = Math.min(COUNT_MAX, Math.floor(BYTES_MAX / what.payloadBytes));
      const perDelivery = spec.sharing === "all" ? spec.members : 1;
      let count = Math.min(FIRST_COUNT, Math.ceil(FIRST_BYTES / what.payloadBytes));
      const warmUpsMin = bench.pick(WARM_UPS_MIN, WARM_UPS_MIN_QUICK);
      let best = 0;
      for (let turn = 1; ; turn++) {
        const figures = await one(++serial, what, count);
        const rate = Number(figures.msgPerSec) / perDelivery;
        best = Math.max(best, rate);
        const isLong = count >= most || count / rate > secondsOf(what) * LONG_ENOUGH;
        const wanted = Math.min(GROWTH_MAX * count, Math.round(best * secondsOf(what)));
        count = Math.min(most, Math.max(COUNT_MIN, wanted));
        counts.set(what, count);
        if ((isLong && turn >= warmUpsMin) || turn === WARM_UPS_MAX) return figures;
      }
    },
    close: async () => {
      await producer.stop();
      for (const consumer of consumers) await consumer.stop();
    },
  };
};

const openProcesses = async (
  bench: Bench,
  { system, place }: Ground,
  spec: StreamSpec,
): Promise<{ consumers: Child[]; producer: Child }> => {
  const { durable, sharing, members, prefetch } = spec;
  const addresses: string[] = [];
  const consumers = await Promise.all(
    Array.from({ length: members }, () => bench.start("streaming")),
  );
  for (const [index, consumer] of consumers.entries()) {
    const options: ConsumeOptions = { durable, sharing, index, members, prefetch, addresses };
    const call = { system, place: place(durable), options };
    const address = await consumer.call<string | undefined>("consume", call, OPEN_MS);
    if (address !== undefined) addresses.push(address);
  }
  const producer = await bench.start("streaming");
  const options = { durable, sharing, members, addresses };
  await producer.call("produce", { system, place: place(durable), options }, OPEN_MS);
  await producer.call("met", { members }, OPEN_MS);
  return { consumers, producer };
};

export const windowOf = (payloadBytes: number): number =>
  Math.max(16, Math.min(WINDOW, Math.floor(WINDOW_BYTES / payloadBytes)));

const orderOf = (sharing: ConsumeOptions["sharing"]): Order => {
  if (sharing === "shared") return "none";
  return sharing === "sharded" ? "key" : "all";
};

const arrived = async (
  consumers: readonly Child[],
  { sharing }: StreamSpec,
  count: number,
): Promise<MergedTally> => {
  if (sharing === "one" || sharing === "all") {
    const reports = await Promise.all(
      consumers.map((consumer) => consumer.call<TallyReport>("finish", undefined, ROUND_MS)),
    );
    return reports
      .map((report) => mergeTallies([report], count))
      .reduce((sum, next) => ({
        received: sum.received + next.received,
        lost: sum.lost + next.lost,
        reordered: sum.reordered + next.reordered,
        duplicates: sum.duplicates + next.duplicates,
        lastNs: Math.max(sum.lastNs, next.lastNs),
        cpuNs: sum.cpuNs + next.cpuNs,
      }));
  }
  let before = -1;
  for (let quietMs = 0; quietMs < QUIET_MS; quietMs += LOOK_MS) {
    let received = 0;
    for (const consumer of consumers) {
      received += await consumer.call<number>("progress", undefined, ROUND_MS);
    }
    if (received >= count) break;
    if (received !== before) quietMs = 0;
    before = received;
    await new Promise<void>((resolve) => void setTimeout(resolve, LOOK_MS));
  }
  const reports: TallyReport[] = [];
  for (const consumer of consumers) {
    reports.push(await consumer.call<TallyReport>("report", undefined, ROUND_MS));
  }
  return mergeTallies(reports, count);
};
