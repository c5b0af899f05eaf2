/** One service in a process of its own: starts a node, runs the service, reports to the main process. */
import { createNode, type MeshNode } from "meshbus";
import { HandlingTrace } from "./handling-trace.ts";
import type { FromService, InstanceSpec, InstanceStatus, Role, ToService } from "./messages.ts";
import { inventory } from "./services/inventory.ts";
import { notification } from "./services/notification.ts";
import { orders } from "./services/orders.ts";
import { payment } from "./services/payment.ts";
import { recorder } from "./services/recorder.ts";
import type { Service } from "./services/service.ts";
import { shipping } from "./services/shipping.ts";

const SERVICES: Readonly<Record<Role, Service>> = {
  orders,
  inventory,
  payment,
  shipping,
  notification,
  recorder,
};
const STATUS_MS = 100;

const spec = JSON.parse(process.argv[2] ?? "") as InstanceSpec;

const tell = (message: FromService): void => {
  if (process.connected) process.send?.(message);
};

const statusOf = (node: MeshNode): InstanceStatus => {
  const sums = { accepted: 0, acked: 0, dead: 0, expired: 0, abandoned: 0, damaged: 0, pending: 0 };
  const waiting: Record<string, number> = {};
  for (const [subscription, counts] of Object.entries(node.ledger())) {
    for (const name of Object.keys(sums) as (keyof typeof sums)[]) sums[name] += counts[name];
    if (counts.pending > 0) waiting[subscription] = counts.pending;
  }
  const counters = node.counters();
  return {
    ledger: sums,
    waiting,
    peers: node.peers().filter(({ state }) => state === "alive").length,
    retries: counters.retries ?? 0,
    redeliveries: counters["inbox.duplicates"] ?? 0,
  };
};

// The main process decides when this one ends; without it there is nothing to do.
process.on("SIGINT", () => {});
process.once("disconnect", () => process.exit(1));
if (!process.connected) process.exit(1);

const { role, name, mesh, dataDir, startsFile } = spec;
const node = await createNode({ service: role, mesh, dataDir });
const trace = new HandlingTrace(role, name, startsFile);
const go = await SERVICES[role](node, { spec, trace, tell });

const report = setInterval(() => tell({ type: "status", status: statusOf(node) }), STATUS_MS);

const stop = async (): Promise<void> => {
  clearInterval(report);
  const last = statusOf(node);
  await node.stop({ drainMs: 3_000 });
  const message: FromService = { type: "stopped", status: last };
  process.send?.(message, () => process.exit(0));
};

process.on("message", (message: ToService) => {
  if (message.type === "stop") void stop();
  else void go?.();
});
tell({ type: "ready" });
