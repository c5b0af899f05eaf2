/** Publishes keyed messages at a steady rate, open loop: each has a due time, however late the process is. */
import { createNode, type MeshNode } from "meshbus";
import { GROUP, Keyed, writeKeyed } from "./keyed-payload.ts";
import { nowNs } from "./process-time.ts";
import { serve } from "./serve.ts";

export type Pace = { readonly perSecond: number; readonly keys: number };

const LOOK_MS = 5;
/** Nothing may change for so long before the group counts as at rest. */
const QUIET_MS = 400;
/** Messages that may be under way at rest, in milliseconds of the load. */
const UNDER_WAY_MS = 50;

let node: MeshNode | undefined;
let ticker: NodeJS.Timeout | undefined;
let pace: Pace = { perSecond: 0, keys: 1 };
let said = 0;
let accepted = 0;
let failed: unknown;

const wait = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

const go = (from: MeshNode, { perSecond, keys }: Pace): void => {
  const startUs = nowNs() / 1_000 - (said / perSecond) * 1e6;
  ticker = setInterval(() => {
    const nowUs = nowNs() / 1_000;
    for (;;) {
      const dueUs = startUs + (said / perSecond) * 1e6;
      if (dueUs > nowUs) return;
      const message = { key: said % keys, number: Math.floor(said / keys), dueUs };
      said++;
      from.publish(Keyed, writeKeyed(message)).then(
        () => accepted++,
        (error: unknown) => {
          failed = error;
        },
      );
    }
  }, 1);
};

const pending = (): number => {
  let count = 0;
  for (const counts of Object.values((node as MeshNode).ledger())) count += counts.pending;
  return count;
};

/** Every shard has one of so many holders, none moves, and what waits is no more than the load is. */
const isAtRest = (members: number): boolean => {
  const shards = (node as MeshNode).shards(GROUP, Keyed);
  if (shards === undefined || shards.unowned > 0 || shards.holders.length !== members) return false;
  if (shards.holders.some(({ moving, reachable }) => moving > 0 || !reachable)) return false;
  const room = ticker === undefined ? 0 : (pace.perSecond * UNDER_WAY_MS) / 1_000;
  return pending() <= room;
};

serve({
  produce: async ({ mesh, dataDir }: { mesh: string; dataDir: string }): Promise<void> => {
    node = await createNode({ service: "source", mesh, dataDir });
  },
  go: (asked: Pace): void => {
    pace = asked;
    go(node as MeshNode, asked);
  },
  /** Resolves once so many members share the keys and nothing has changed for a while. */
  rest: async ({ members }: { members: number }): Promise<void> => {
    let sinceNs = nowNs();
    while (nowNs() - sinceNs < QUIET_MS * 1e6) {
      if (!isAtRest(members)) sinceNs = nowNs();
      await wait(LOOK_MS);
    }
  },
  /** No more is said. Resolves with how many messages were, when all are accepted and settled. */
  halt: async (): Promise<number> => {
    clearInterval(ticker);
    ticker = undefined;
    while (accepted < said || pending() > 0) {
      if (failed !== undefined) throw failed;
      await wait(LOOK_MS);
    }
    return said;
  },
  counters: () => node?.counters(),
  stop: async (): Promise<void> => {
    clearInterval(ticker);
    await node?.stop({ drainMs: 1_000 });
  },
});
