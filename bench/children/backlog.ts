/**
 * A durable subscription that goes away, a producer that goes on, and the return.
 *
 * The producer keeps a window of publishes under way and looks at its anonymous memory all along.
 */
import { bytes, createNode, event, type MeshNode, staticPeers } from "meshbus";
import { type ArrivalReport, Arrivals, nowNs } from "./arrivals.ts";
import { linkAddress } from "./link-address.ts";
import { numberedBytes, roundOfBytes, sequenceOfBytes } from "./payload.ts";
import { processMemory } from "./process-memory.ts";
import { serve } from "./serve.ts";

export type BacklogSubscribe = {
  readonly mesh: string;
  readonly dataDir: string;
  readonly address: string;
  readonly count: number;
  readonly prefetch: number;
};

export type BacklogFill = {
  /** Growth of RssAnon over before: when all was accepted and the process rested, and at most. */
  readonly rssAnonMb: number;
  readonly rssAnonPeakMb: number;
  readonly fillMsgPerSec: number;
};

const Numbered = event("bench.backlog", { schema: bytes() });
const WINDOW = 2_048;
const LOOK_MS = 50;
const REST_MS = 1_000;

const arrivals = new Arrivals();
let node: MeshNode | undefined;
let subscribedNs = 0;

const publishAll = (from: MeshNode, count: number): Promise<void> => {
  let next = 0;
  let underWay = 0;
  return new Promise((resolve, reject) => {
    const landed = (): void => {
      underWay--;
      if (next < count) fill();
      else if (underWay === 0) resolve();
    };
    const fill = (): void => {
      while (underWay < WINDOW && next < count) {
        underWay++;
        from.publish(Numbered, numberedBytes(0, next++)).then(landed, reject);
      }
    };
    fill();
  });
};

serve({
  produce: async ({ mesh, dataDir }: { mesh: string; dataDir: string }): Promise<string> => {
    node = await createNode({ service: "source", mesh, dataDir, discovery: [] });
    return linkAddress(node);
  },
  /** The subscriber; `count` is what it is to get. */
  subscribe: async ({
    mesh,
    dataDir,
    address,
    count,
    prefetch,
  }: BacklogSubscribe): Promise<void> => {
    arrivals.begin(0, count);
    const discovery = [staticPeers([address])];
    node = await createNode({ service: "sink", mesh, dataDir, discovery });
    subscribedNs = nowNs();
    await node.subscribe(
      Numbered,
      (payload) => arrivals.arrived(roundOfBytes(payload), sequenceOfBytes(payload)),
      { durable: true, prefetch },
    );
  },
  /** Resolves when the producer knows the subscription. */
  met: (): Promise<void> => (node as MeshNode).waitFor(Numbered),
  /** Resolves when the producer sees that nobody is there. */
  alone: async (): Promise<void> => {
    while ((node as MeshNode).peers().some(({ state }) => state === "alive")) {
      await new Promise<void>((resolve) => void setTimeout(resolve, 10));
    }
  },
  fill: async ({ count }: { count: number }): Promise<BacklogFill> => {
    const before = processMemory().rssAnonMb;
    let peak = before;
    const looker = setInterval(() => {
      peak = Math.max(peak, processMemory().rssAnonMb);
    }, LOOK_MS);
    const startNs = nowNs();
    await publishAll(node as MeshNode, count);
    const seconds = (nowNs() - startNs) / 1e9;
    await new Promise<void>((resolve) => void setTimeout(resolve, REST_MS));
    clearInterval(looker);
    return {
      rssAnonMb: processMemory().rssAnonMb - before,
      rssAnonPeakMb: peak - before,
      fillMsgPerSec: count / seconds,
    };
  },
  /** At the subscriber: from its return to the last message handled. */
  drained: async (): Promise<ArrivalReport & { subscribedNs: number }> => ({
    ...(await arrivals.finish()),
    subscribedNs,
  }),
  pending: (): number => {
    let pending = 0;
    for (const counts of Object.values((node as MeshNode).ledger())) pending += counts.pending;
    return pending;
  },
  stop: async (): Promise<void> => {
    await node?.stop({ drainMs: 1_000 });
  },
});
