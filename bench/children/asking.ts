/**
 * Requests and replies through the adapter of any system: one side answers with what it was sent, the other asks
 * one after the other, so many at once, or at a rate.
 */
import { createHistogram, type RecordableHistogram } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { Adapter, Ask, Place } from "../adapters/adapter.ts";
import { adapterOf } from "../adapters/adapter-of.ts";
import type { SystemName } from "../systems.ts";
import { makePayload } from "./payload.ts";
import { processMemory } from "./process-memory.ts";
import { nowNs } from "./process-time.ts";
import { serve } from "./serve.ts";

export type AskingOpen = { readonly system: SystemName; readonly place: Place };

export type RoundTrips = {
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly maxUs: number;
  /** Processor time of the asking process for one round trip, all threads. */
  readonly askerCpuUs: number;
};

export type Loaded = Omit<RoundTrips, "askerCpuUs"> & {
  /** How late this process came round to what was due. */
  readonly lateP999Us: number;
  readonly asked: number;
  /** Asked for and never answered. */
  readonly lost: number;
};

export type LoadRun = {
  readonly perSecond: number;
  readonly seconds: number;
  readonly payloadBytes: number;
};

const TICK_MS = 1;
/** Asked for but not timed: a thread that has just started says its first ticks late. */
const TICKS_BEFORE = 150;
/** After the last is asked: what has not been answered by then is lost. */
const REST_MS = 3_000;
const LOOK_MS = 5;

let adapter: Adapter | undefined;
let ask: Ask | undefined;

const wait = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

const summary = (histogram: RecordableHistogram): Omit<RoundTrips, "askerCpuUs"> => ({
  p50Us: histogram.percentile(50) / 1_000,
  p99Us: histogram.percentile(99) / 1_000,
  p999Us: histogram.percentile(99.9) / 1_000,
  maxUs: histogram.max / 1_000,
});

const openHistogram = (): RecordableHistogram => createHistogram({ figures: 3 });

const load = async ({ perSecond, seconds, payloadBytes }: LoadRun): Promise<Loaded> => {
  const say = ask as Ask;
  const { codec } = adapter as Adapter;
  const histogram = openHistogram();
  const late = openHistogram();
  const ticks = TICKS_BEFORE + Math.round((seconds * 1_000) / TICK_MS);
  const perTick = (perSecond * TICK_MS) / 1_000;
  let asked = 0;
  let answered = 0;
  let failed = 0;
  let tick = 0;
  const askAll = (dueNs: number, until: number): void => {
    const isTimed = tick > TICKS_BEFORE;
    if (isTimed) late.record(Math.max(1, Math.round(nowNs() - dueNs)));
    while (asked < until) {
      say(makePayload(codec, 0, asked++, payloadBytes)).then(
        () => {
          answered++;
          // From when it was due, not from when this process came round to it.
          if (!isTimed) return;
          histogram.record(Math.max(1, Math.round(nowNs() - dueNs)));
        },
        () => failed++,
      );
    }
  };
  const worker = new Worker(fileURLToPath(new URL("./metronome.js", import.meta.url)), {
    workerData: { tickMs: TICK_MS, ticks },
  });
  await new Promise<void>((resolve, reject) => {
    worker.on("message", (dueNs: number) => askAll(dueNs, Math.round(++tick * perTick)));
    worker.on("error", reject);
    worker.on("exit", () => resolve());
  });
  for (let ms = 0; answered + failed < asked && ms < REST_MS; ms += LOOK_MS) await wait(LOOK_MS);
  const lateP999Us = late.percentile(99.9) / 1_000;
  return { ...summary(histogram), lateP999Us, asked, lost: asked - answered };
};

serve({
  answer: async ({ system, place }: AskingOpen): Promise<string | undefined> => {
    adapter = await adapterOf(system);
    return adapter.answer?.(place);
  },
  /** Loads what is needed, so that `open` is the system's own time. */
  prepare: async ({ system }: AskingOpen): Promise<void> => {
    adapter = await adapterOf(system);
  },
  open: async ({ system, place, address }: AskingOpen & { address: string }): Promise<void> => {
    adapter = await adapterOf(system);
    ask = await adapter.ask?.(place, address);
    await ask?.(makePayload(adapter.codec, 0, 0, 128));
  },
  /** Milliseconds from nothing to the first reply. */
  firstReply: async ({ place, address }: AskingOpen & { address: string }): Promise<number> => {
    const { codec } = adapter as Adapter;
    const payload = makePayload(codec, 0, 0, 128);
    const startMs = performance.now();
    ask = await adapter?.ask?.(place, address);
    await ask?.(payload);
    return performance.now() - startMs;
  },
  ask: async (run: { count: number; payloadBytes: number }): Promise<RoundTrips> => {
    const say = ask as Ask;
    const { codec } = adapter as Adapter;
    const histogram = openHistogram();
    const before = process.cpuUsage();
    for (let at = 0; at < run.count; at++) {
      const startMs = performance.now();
      await say(makePayload(codec, 0, at, run.payloadBytes));
      histogram.record(Math.max(1, Math.round((performance.now() - startMs) * 1e6)));
    }
    const { user, system } = process.cpuUsage(before);
    return { ...summary(histogram), askerCpuUs: (user + system) / run.count };
  },
  /** Requests a second with so many under way all the time. */
  capacity: async (run: { atOnce: number; ms: number; payloadBytes: number }): Promise<number> => {
    const say = ask as Ask;
    const { codec } = adapter as Adapter;
    const startMs = performance.now();
    let answered = 0;
    const lane = async (): Promise<void> => {
      while (performance.now() - startMs < run.ms) {
        await say(makePayload(codec, 0, answered, run.payloadBytes));
        answered++;
      }
    };
    await Promise.all(Array.from({ length: run.atOnce }, lane));
    return (answered * 1_000) / (performance.now() - startMs);
  },
  load: (run: LoadRun): Promise<Loaded> => load(run),
  memory: () => processMemory(),
  stop: async (): Promise<void> => {
    await adapter?.close();
  },
});
