/**
 * The process that is never killed: it gets what handlers sent through ctx, and keeps the fenced store. What
 * reaches it has left, and has left for good.
 */
import { createNode } from "meshbus";
import { nowMs, type Order } from "./chaos-record.ts";
import { serveStore } from "./fenced-store.ts";
import { nodeOptionsOf } from "./node-options.ts";
import { EFFECT, type ProcessSpec } from "./process-spec.ts";
import { onOrder, tell, tellPeers, tellStalls } from "./teller.ts";

const spec = JSON.parse(process.argv[2] ?? "") as ProcessSpec;
const DEAD_LISTED = 1_000;

await serveStore(spec.storePath, (write, accepted) => {
  tell({ e: "write", atMs: nowMs(), ...write, accepted });
});
tell({ e: "begin", atMs: nowMs() });
const node = await createNode(nodeOptionsOf(spec));
void tellPeers(node);
await node.subscribe(
  EFFECT,
  (data, ctx) => {
    const { id, run } = data as { readonly id: string; readonly run: string };
    const { producer, position } = ctx.message;
    tell({ e: "effect", atMs: nowMs(), id, run, producer, ...position });
  },
  { durable: true },
);

const listDead = async (call: number): Promise<void> => {
  const entries = await node.deadLetters.list({ limit: DEAD_LISTED });
  const letters = entries.map(({ node, subscription, epoch, seq, reason, attempts }) => {
    return { node, subscription, epoch, seq, reason, attempts };
  });
  tell({ e: "dead", atMs: nowMs(), call, letters });
};

const obey = (order: Order): void => {
  if (order.op === "status") {
    const [ledger, counters] = [node.ledger(), node.counters()];
    tell({ e: "status", atMs: nowMs(), call: order.call, ledger, busy: false, counters });
  }
  if (order.op === "dead") void listDead(order.call);
  if (order.op === "stop") void node.stop().then(() => process.exit(0));
};

onOrder(obey);
tellStalls();
tell({ e: "ready", atMs: nowMs(), node: node.id });
