/**
 * A stream of events over the public API, by `emit` or durably.
 *
 * Durable: a window of publishes is under way at any time; the run is over when every publish has resolved
 * (synced here) and the ledger says that all were settled (handled, and that synced at the other side).
 */
import { bytes, createNode, event, json, type MeshNode, staticPeers } from "meshbus";
import { type ArrivalReport, Arrivals, cpuNs, nowNs } from "./arrivals.ts";
import { linkAddress } from "./link-address.ts";
import {
  type NumberedJson,
  numberedBytes,
  numberedJson,
  roundOfBytes,
  roundOfJson,
  sequenceOfBytes,
  sequenceOfJson,
} from "./payload.ts";
import { serve } from "./serve.ts";
import { type Scheme, transportsOf } from "./transports-of.ts";

export type StreamOpen = {
  readonly mesh: string;
  readonly dataDir: string;
  readonly durable: boolean;
  /** Of the subscription; only for "consume". */
  readonly prefetch?: number;
  /** The transport. Default: the best both sides have. */
  readonly scheme?: Scheme;
  /** Of the consumer; only for "produce". */
  readonly address?: string;
};

export type StreamRun = {
  readonly round: number;
  readonly count: number;
  readonly codec: "bytes" | "json";
  /** Publishes under way; 0: emit. */
  readonly window: number;
};

export type StreamResult = {
  readonly startNs: number;
  /** 0 where nothing is settled. */
  readonly settledNs: number;
  /** Processor time of the producer during the run, all threads. */
  readonly cpuNs: number;
};

const NumberedBytes = event("bench.bytes", { schema: bytes() });
const Numbered = event("bench.json", { schema: json<NumberedJson>() });

const arrivals = new Arrivals();
let node: MeshNode | undefined;

const nextTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** A refused message is offered again in a later turn: what is taken, and only that, may get lost. */
const emitAll = async ({ round, count, codec }: StreamRun): Promise<void> => {
  const from = node as MeshNode;
  for (let sequence = 0; sequence < count; ) {
    const taken =
      codec === "bytes"
        ? from.emit(NumberedBytes, numberedBytes(round, sequence))
        : from.emit(Numbered, numberedJson(round, sequence));
    if (taken) sequence++;
    else await nextTurn();
  }
};

const publishAll = ({ round, count, codec, window }: StreamRun): Promise<void> => {
  const from = node as MeshNode;
  let next = 0;
  let underWay = 0;
  return new Promise((resolve, reject) => {
    const landed = (): void => {
      underWay--;
      if (next < count) fill();
      else if (underWay === 0) resolve();
    };
    const fill = (): void => {
      while (underWay < window && next < count) {
        underWay++;
        const sequence = next++;
        const accepted =
          codec === "bytes"
            ? from.publish(NumberedBytes, numberedBytes(round, sequence))
            : from.publish(Numbered, numberedJson(round, sequence));
        accepted.then(landed, reject);
      }
    };
    fill();
  });
};

const settled = async (): Promise<void> => {
  const from = node as MeshNode;
  for (;;) {
    let pending = 0;
    for (const counts of Object.values(from.ledger())) pending += counts.pending;
    if (pending === 0) return;
    await new Promise<void>((resolve) => void setTimeout(resolve, 1));
  }
};

serve({
  consume: async (open: StreamOpen): Promise<string> => {
    const { mesh, dataDir, durable, prefetch = 256, scheme } = open;
    const transports = transportsOf(scheme);
    node = await createNode({ service: "sink", mesh, dataDir, discovery: [], ...transports });
    const options = { durable, prefetch };
    await node.subscribe(
      NumberedBytes,
      (payload) => arrivals.arrived(roundOfBytes(payload), sequenceOfBytes(payload)),
      options,
    );
    await node.subscribe(
      Numbered,
      (value) => arrivals.arrived(roundOfJson(value), sequenceOfJson(value)),
      options,
    );
    return linkAddress(node);
  },
  produce: async ({ mesh, dataDir, scheme, address = "" }: StreamOpen): Promise<void> => {
    const discovery = [staticPeers([address])];
    const transports = transportsOf(scheme);
    node = await createNode({ service: "source", mesh, dataDir, discovery, ...transports });
    await node.waitFor(NumberedBytes);
    await node.waitFor(Numbered);
  },
  begin: ({ round, count }: StreamRun): void => arrivals.begin(round, count),
  run: async (run: StreamRun): Promise<StreamResult> => {
    const cpuBefore = cpuNs();
    const startNs = nowNs();
    if (run.window === 0) {
      await emitAll(run);
      return { startNs, settledNs: 0, cpuNs: cpuNs() - cpuBefore };
    }
    await publishAll(run);
    await settled();
    return { startNs, settledNs: nowNs(), cpuNs: cpuNs() - cpuBefore };
  },
  finish: (): Promise<ArrivalReport> => arrivals.finish(),
  counters: () => node?.counters(),
  stop: async (): Promise<void> => {
    await node?.stop({ drainMs: 1_000 });
  },
});
