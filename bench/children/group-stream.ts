/**
 * A stream of durable keyed messages to a group of several members: by key, or to whoever has room.
 *
 * The run is over when every publish has resolved (synced here) and the ledger says that all were settled
 * (handled, and that synced at a member).
 */
import { bytes, createNode, event, type MeshNode, staticPeers } from "meshbus";
import { cpuNs, nowNs } from "./arrivals.ts";
import { linkAddress } from "./link-address.ts";
import { numberedBytes, roundOfBytes, sequenceOfBytes } from "./payload.ts";
import { serve } from "./serve.ts";

export type GroupOpen = {
  readonly mesh: string;
  readonly dataDir: string;
  readonly distribution: "key" | "any";
  readonly prefetch: number;
  /** Of the producer, and of members that joined before. */
  readonly addresses: readonly string[];
};

export type GroupRun = { readonly round: number; readonly count: number; readonly window: number };
export type GroupResult = { readonly ns: number; readonly cpuNs: number };
export type GroupReport = {
  readonly received: number;
  /** Of one key, after a later one. */
  readonly reordered: number;
  readonly cpuNs: number;
};

const KEYS = 1_024;
const GROUP = "sink";
const keyOf = (payload: Uint8Array): number => sequenceOfBytes(payload) % KEYS;
const Keyed = event("bench.sharded", { schema: bytes(), key: (payload) => `k${keyOf(payload)}` });

let node: MeshNode | undefined;
let round = -1;
let received = 0;
let reordered = 0;
let cpuBefore = 0;
const last = new Float64Array(KEYS);

const arrived = (payload: Uint8Array): void => {
  if (roundOfBytes(payload) !== round) return;
  received++;
  const key = keyOf(payload);
  const sequence = sequenceOfBytes(payload);
  if (sequence < (last[key] as number)) reordered++;
  else last[key] = sequence;
};

const publishAll = (from: MeshNode, { round, count, window }: GroupRun): Promise<void> => {
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
        from.publish(Keyed, numberedBytes(round, next++)).then(landed, reject);
      }
    };
    fill();
  });
};

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise<void>((resolve) => void setTimeout(resolve, 1));
};

const pending = (from: MeshNode): number => {
  let count = 0;
  for (const counts of Object.values(from.ledger())) count += counts.pending;
  return count;
};

serve({
  produce: async ({ mesh, dataDir }: GroupOpen): Promise<string> => {
    node = await createNode({ service: "source", mesh, dataDir, discovery: [] });
    return linkAddress(node);
  },
  join: async (open: GroupOpen): Promise<string> => {
    const { mesh, dataDir, distribution, prefetch, addresses } = open;
    const discovery = [staticPeers([...addresses])];
    node = await createNode({ service: "sink", mesh, dataDir, discovery });
    const options = { group: GROUP, durable: true, distribution, prefetch };
    await node.subscribe(Keyed, arrived, options);
    return linkAddress(node);
  },
  /** At the producer: so many members are there and, by key, each has its part. */
  shared: ({ members, distribution }: { members: number; distribution: string }): Promise<void> =>
    until(() => {
      const from = node as MeshNode;
      if (from.peers().filter(({ state }) => state === "alive").length < members) return false;
      if (distribution === "any") return true;
      const shards = from.shards(GROUP, Keyed);
      if (shards === undefined || shards.unowned > 0) return false;
      const moving = shards.holders.some((holder) => holder.moving > 0 || !holder.reachable);
      return shards.holders.length === members && !moving;
    }),
  begin: (next: { round: number }): void => {
    round = next.round;
    received = 0;
    reordered = 0;
    last.fill(-1);
    cpuBefore = cpuNs();
  },
  run: async (run: GroupRun): Promise<GroupResult> => {
    const from = node as MeshNode;
    const cpuStart = cpuNs();
    const startNs = nowNs();
    await publishAll(from, run);
    await until(() => pending(from) === 0);
    return { ns: nowNs() - startNs, cpuNs: cpuNs() - cpuStart };
  },
  report: (): GroupReport => ({ received, reordered, cpuNs: cpuNs() - cpuBefore }),
  counters: () => node?.counters(),
  stop: async (): Promise<void> => {
    await node?.stop({ drainMs: 1_000 });
  },
});
