/**
 * Messages in one direction through the adapter of any system: at most once as fast as they are taken, durably with
 * a window of publishes under way, or durably at a steady rate.
 */
import type {
  Adapter,
  ConsumeOptions,
  Consumer,
  Place,
  ProduceOptions,
  Producer,
} from "../adapters/adapter.ts";
import { adapterOf } from "../adapters/adapter-of.ts";
import type { SystemName } from "../systems.ts";
import { makePayload, sequenceOf } from "./payload.ts";
import { processMemory } from "./process-memory.ts";
import { cpuNs, nowNs } from "./process-time.ts";
import { serve, tell } from "./serve.ts";
import { KEYS, type Order, Tally, type TallyReport } from "./tally.ts";

export type ConsumeCall = {
  readonly system: SystemName;
  readonly place: Place;
  readonly options: ConsumeOptions;
  /** How long a handler takes; 0: it returns at once. Then it tells of each message that begins. */
  readonly handleMs?: number;
};

export type ProduceCall = {
  readonly system: SystemName;
  readonly place: Place;
  readonly options: ProduceOptions;
};

export type StreamRun = {
  readonly round: number;
  readonly count: number;
  readonly payloadBytes: number;
  /** Publishes under way; 0: at most once. */
  readonly window: number;
};

export type StreamResult = {
  readonly startNs: number;
  /** When all was confirmed; 0 where nothing is. */
  readonly publishedNs: number;
  /** When all was settled as the producer knows; 0 where it does not. */
  readonly settledNs: number;
  /** Processor time of the producer during the run, all threads. */
  readonly cpuNs: number;
};

export type Memory = { readonly rssMb: number; readonly rssAnonMb: number };

/** Messages that began at a consumer, two numbers each: which, and when in monotonic microseconds. */
export type Begun = readonly number[];

const LOOK_MS = 50;
const tally = new Tally();
let adapter: Adapter | undefined;
let consumer: Consumer | undefined;
let producer: Producer | undefined;
let begun: number[] = [];
let paced = { ticker: undefined as NodeJS.Timeout | undefined, said: 0, confirmed: 0, refused: 0 };

const wait = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));
const nextTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** A refused message is offered again in a later turn: what is taken, and only that, may get lost. */
const emitAll = async ({ round, count, payloadBytes }: StreamRun): Promise<void> => {
  const to = producer as Producer;
  const { codec } = adapter as Adapter;
  const emit = to.emit?.bind(to) as NonNullable<Producer["emit"]>;
  for (let sequence = 0; sequence < count; ) {
    const taken = emit(makePayload(codec, round, sequence, payloadBytes));
    if (taken === false) await nextTurn();
    else {
      sequence++;
      if (taken !== true) await taken;
    }
  }
  await to.flush?.();
};

const publishAll = ({ round, count, payloadBytes, window }: StreamRun): Promise<void> => {
  const to = producer as Producer;
  const { codec } = adapter as Adapter;
  const publish = to.publish?.bind(to) as NonNullable<Producer["publish"]>;
  let next = 0;
  let underWay = 0;
  let isFilling = false;
  return new Promise((resolve, reject) => {
    const confirmed = (error?: unknown): void => {
      if (error) {
        reject(error);
        return;
      }
      underWay--;
      if (next < count) fill();
      else if (underWay === 0) resolve();
    };
    const fill = (): void => {
      if (isFilling) return;
      isFilling = true;
      while (underWay < window && next < count) {
        underWay++;
        const sequence = next++;
        const payload = makePayload(codec, round, sequence, payloadBytes);
        publish(payload, sequence % KEYS, confirmed);
      }
      isFilling = false;
    };
    fill();
  });
};

/** A message that is refused is published again: what counts is that it gets there. */
const publishPaced = (perSecond: number, payloadBytes: number): void => {
  const to = producer as Producer;
  const { codec } = adapter as Adapter;
  const publish = to.publish?.bind(to) as NonNullable<Producer["publish"]>;
  const say = (sequence: number): void => {
    const payload = makePayload(codec, 0, sequence, payloadBytes);
    publish(payload, sequence % KEYS, (error) => {
      if (!error) paced.confirmed++;
      else {
        paced.refused++;
        say(sequence);
      }
    });
  };
  const startNs = nowNs();
  paced = { ticker: undefined, said: 0, confirmed: 0, refused: 0 };
  paced.ticker = setInterval(() => {
    const due = ((nowNs() - startNs) / 1e9) * perSecond;
    while (paced.said < due) say(paced.said++);
  }, 1);
};

const noteBegun = (payload: unknown): void => {
  if (begun.length === 0) {
    setImmediate(() => {
      tell(begun satisfies Begun);
      begun = [];
    });
  }
  begun.push(sequenceOf(payload), Math.round(nowNs() / 1_000));
};

serve({
  consume: async (call: ConsumeCall): Promise<string | undefined> => {
    const { system, place, options, handleMs } = call;
    adapter = await adapterOf(system);
    const count = (payload: unknown): undefined => void tally.arrived(payload);
    const work = (payload: unknown): Promise<void> => {
      noteBegun(payload);
      return wait(handleMs as number);
    };
    consumer = await adapter.consume?.(place, options, handleMs === undefined ? count : work);
    return consumer?.address;
  },
  declare: async ({ system, place, options }: ConsumeCall): Promise<void> => {
    adapter = await adapterOf(system);
    await adapter.declare?.(place, options);
  },
  produce: async ({ system, place, options }: ProduceCall): Promise<string | undefined> => {
    adapter = await adapterOf(system);
    producer = await adapter.produce?.(place, options);
    return producer?.address;
  },
  address: (): string | undefined => producer?.address,
  /** At the producer: so many consumers are known. */
  met: ({ members }: { members: number }): Promise<void> | undefined => producer?.met?.(members),
  /** At the producer: it knows that nobody is there. */
  alone: (): Promise<void> | undefined => producer?.alone?.(),
  begin: (call: { round: number; count: number; order: Order }): void =>
    tally.begin(call.round, call.count, call.order),
  progress: (): number => tally.received,
  report: (): TallyReport => tally.report(),
  finish: (): Promise<TallyReport> => tally.finish(),
  /** At a consumer: resolves with when all its acknowledgements were taken; 0 where nothing says so. */
  acked: async (): Promise<number> => {
    if (consumer?.settled === undefined) return 0;
    await consumer.settled();
    return nowNs();
  },
  run: async (run: StreamRun): Promise<StreamResult> => {
    const cpuBefore = cpuNs();
    const startNs = nowNs();
    if (run.window === 0) {
      await emitAll(run);
      return { startNs, publishedNs: 0, settledNs: 0, cpuNs: cpuNs() - cpuBefore };
    }
    await publishAll(run);
    const publishedNs = nowNs();
    await producer?.settled?.();
    const settledNs = producer?.settled === undefined ? 0 : nowNs();
    return { startNs, publishedNs, settledNs, cpuNs: cpuNs() - cpuBefore };
  },
  /** Publishes while nobody takes. Resolves with how long it took and the most memory seen. */
  fill: async (run: StreamRun): Promise<{ seconds: number; rssAnonPeakMb: number }> => {
    let rssAnonPeakMb = 0;
    const looker = setInterval(() => {
      rssAnonPeakMb = Math.max(rssAnonPeakMb, processMemory().rssAnonMb);
    }, LOOK_MS);
    const startNs = nowNs();
    await publishAll(run);
    clearInterval(looker);
    return { seconds: (nowNs() - startNs) / 1e9, rssAnonPeakMb };
  },
  settled: (): Promise<void> | undefined => producer?.settled?.(),
  memory: (): Memory => processMemory(),
  /** Resolves with the monotonic microseconds of message 0; each is due its part of a second later. */
  go: ({ perSecond, payloadBytes }: { perSecond: number; payloadBytes: number }): number => {
    const startUs = nowNs() / 1_000;
    publishPaced(perSecond, payloadBytes);
    return startUs;
  },
  /** No more is said. Resolves with how many were, when all are confirmed. */
  halt: async (): Promise<{ said: number; refused: number }> => {
    clearInterval(paced.ticker);
    while (paced.confirmed < paced.said) await wait(1);
    return { said: paced.said, refused: paced.refused };
  },
  stop: async (): Promise<void> => {
    clearInterval(paced.ticker);
    await adapter?.close();
  },
});
