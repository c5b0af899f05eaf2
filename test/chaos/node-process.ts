/** A source or a worker in a process of its own, which may be killed at any moment. */
import { writeSync } from "node:fs";
import { createNode } from "meshbus";
import { nowMs, type Order } from "./chaos-record.ts";
import { StoreClient } from "./fenced-store.ts";
import { nodeOptionsOf } from "./node-options.ts";
import { CUT_FD, type ProcessSpec } from "./process-spec.ts";
import { Source } from "./source.ts";
import { onOrder, tell, tellPeers, tellStalls } from "./teller.ts";
import { Worker } from "./worker.ts";

const spec = JSON.parse(process.argv[2] ?? "") as ProcessSpec;

/** Accepted messages, or ended handlers, until it has the power of its disk cut; 0: it does not. */
let left = 0;
const countDown = (): void => {
  if (left === 0 || --left > 0) return;
  writeSync(CUT_FD, "!");
};

tell({ e: "begin", atMs: nowMs() });
const node = await createNode(nodeOptionsOf(spec));
void tellPeers(node);
const part =
  spec.role === "source"
    ? new Source(node, spec, countDown)
    : new Worker(spec, new StoreClient(spec.storePath), countDown);
if (part instanceof Worker) await part.listen(node);

const status = (call: number): void => {
  const { isBusy: busy } = part;
  const [ledger, counters] = [node.ledger(), node.counters()];
  tell({ e: "status", atMs: nowMs(), call, ledger, busy, counters });
};

const obey = (order: Order): void => {
  if (order.op === "go" && part instanceof Source) part.go();
  if (order.op === "halt" && part instanceof Source) part.halt();
  if (order.op === "arm") left = order.after;
  if (order.op === "status") status(order.call);
  if (order.op === "stop") void node.stop({ drainMs: 5_000 }).then(() => process.exit(0));
};

onOrder(obey);
tellStalls();
tell({ e: "ready", atMs: nowMs(), node: node.id });
