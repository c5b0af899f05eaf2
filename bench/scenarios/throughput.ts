/**
 * Streams of 128-byte messages from one process to another: at most once (`emit`) and durably (`publish`
 * to handled and settled, synced on both sides), each beside raw ZeroMQ with one message per frame.
 */
import type { Bench } from "../bench.ts";
import type { ArrivalReport } from "../children/arrivals.ts";
import { PAYLOAD_BYTES } from "../children/payload.ts";
import type { StreamResult } from "../children/stream-meshbus.ts";
import { type Contender, compare, type Pair } from "../compare.ts";
import type { Row } from "../row.ts";

/** The fastest pair of the sweep in docs/performance.md. */
const WINDOW = 2_048;
const PREFETCH = 2_048;
const OPEN_MS = 20_000;
const ROUND_MS = 60_000;

export const throughputEmit = (bench: Bench): Promise<Row[]> => {
  const count = bench.pick(600_000, 300_000);
  return compare(bench, {
    scenario: "throughput-emit",
    payloadBytes: PAYLOAD_BYTES,
    rounds: bench.pick(7, 3),
    summed: ["lost", "reordered", "duplicates"],
    compared: "msgPerSec",
    contenders: [
      meshbus(bench, { count, durable: false, codec: "bytes" }),
      meshbus(bench, { count, durable: false, codec: "json" }),
      meshbus(bench, { count, durable: false, codec: "bytes", scheme: "zmq" }),
      meshbus(bench, { count, durable: false, codec: "bytes", scheme: "grpc" }),
      rawZeromq(bench, count),
    ],
  });
};

export const throughputDurable = (bench: Bench): Promise<Row[]> => {
  const count = bench.pick(400_000, 200_000);
  return compare(bench, {
    scenario: "throughput-durable",
    payloadBytes: PAYLOAD_BYTES,
    rounds: bench.pick(7, 3),
    summed: ["lost", "reordered", "duplicates"],
    compared: "msgPerSec",
    contenders: [
      meshbus(bench, { count, durable: true, codec: "bytes" }),
      meshbus(bench, { count, durable: true, codec: "json" }),
      meshbus(bench, { count, durable: true, codec: "bytes", scheme: "zmq" }),
      meshbus(bench, { count, durable: true, codec: "bytes", scheme: "grpc" }),
      rawZeromq(bench, count),
    ],
  });
};

type Stream = {
  readonly count: number;
  readonly durable: boolean;
  readonly codec: "bytes" | "json";
  /** The transport; default the best both sides have. */
  readonly scheme?: "zmq" | "grpc";
};

const SYSTEM_OF = { best: "meshbus", zmq: "meshbus-zeromq", grpc: "meshbus-grpc" } as const;

const meshbus = (bench: Bench, { count, durable, codec, scheme }: Stream): Contender => ({
  system: codec === "json" ? "meshbus-json" : SYSTEM_OF[scheme ?? "best"],
  ...(codec === "json" ? { codec } : {}),
  ...(durable ? { settings: { window: WINDOW, prefetch: PREFETCH } } : {}),
  open: async () => {
    const mesh = bench.mesh();
    const consumer = await bench.start("stream-meshbus");
    const producer = await bench.start("stream-meshbus");
    const dataDir = (): string => (durable ? bench.folder() : ":memory:");
    const sink = { mesh, dataDir: dataDir(), durable, prefetch: PREFETCH, scheme };
    const address = await consumer.call<string>("consume", sink, OPEN_MS);
    await producer.call("produce", { mesh, dataDir: dataDir(), durable, scheme, address }, OPEN_MS);
    return streamPair(consumer, producer, count, { codec, window: durable ? WINDOW : 0 });
  },
});

const rawZeromq = (bench: Bench, count: number): Contender => ({
  system: "raw-zeromq",
  open: async () => {
    const consumer = await bench.start("stream-zeromq");
    const producer = await bench.start("stream-zeromq");
    const address = await consumer.call<string>("consume", undefined, OPEN_MS);
    await producer.call("produce", { address }, OPEN_MS);
    return streamPair(consumer, producer, count, {});
  },
});

type Process = Awaited<ReturnType<Bench["start"]>>;

const streamPair = (consumer: Process, producer: Process, full: number, how: object): Pair => ({
  round: async (round, warmUp) => {
    const count = warmUp ? full >> 1 : full;
    await consumer.call("begin", { round, count }, ROUND_MS);
    const run = producer.call<StreamResult>("run", { round, count, ...how }, ROUND_MS);
    run.catch(() => {}); // awaited below
    const arrived = await consumer.call<ArrivalReport>("finish", undefined, ROUND_MS);
    const { startNs, settledNs, cpuNs } = await run;
    const endNs = Math.max(arrived.lastNs, settledNs ?? 0);
    const { received, lost, reordered, duplicates } = arrived;
    return {
      msgPerSec: received / ((endNs - startNs) / 1e9),
      lost,
      reordered,
      duplicates,
      producerCpuNs: cpuNs / count,
      consumerCpuNs: arrived.cpuNs / count,
    };
  },
  close: async () => {
    await producer.stop();
    await consumer.stop();
  },
});
