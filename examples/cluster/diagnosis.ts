/** Why a run did not end: who is in which state, what is owed to whom, and which orders lack what. */
import type { Effect } from "./check-history.ts";
import { orderIdAt } from "./order-book.ts";
import type { Progress } from "./progress.ts";

const NAMED = 5;

export const diagnose = (
  failure: string,
  progress: Progress,
  effects: readonly Effect[],
): string[] => {
  const lines = [failure];
  for (const { spec, state, status } of progress.instances) {
    const owes = Object.entries(status?.waiting ?? {})
      .map(([subscription, count]) => `${count} to "${subscription}"`)
      .join(", ");
    const peers = `${status?.peers ?? 0} peers`;
    lines.push(`${spec.name}: ${state}, ${peers}, owes ${owes === "" ? "nothing" : owes}`);
  }
  const stages = new Map<string, Set<string>>();
  for (const { orderId, subject } of effects) {
    const stage = stages.get(subject) ?? new Set<string>();
    stages.set(subject, stage.add(orderId));
  }
  const all = Array.from({ length: progress.orders }, (_, index) => orderIdAt(index));
  const has = (orderId: string, ...subjects: readonly string[]): boolean =>
    subjects.some((subject) => stages.get(subject)?.has(orderId) === true);
  const stuck = (after: string, before: readonly string[]): void => {
    const orders = all.filter((id) => has(id, after) && !has(id, ...before));
    if (orders.length === 0) return;
    const named = orders.slice(0, NAMED).join(", ");
    lines.push(`${orders.length} orders stopped after ${after}: ${named}`);
  };
  const unplaced = all.filter((id) => !has(id, "order.placed")).length;
  if (unplaced > 0) lines.push(`${unplaced} orders were not placed`);
  stuck("order.placed", ["stock.reserved"]);
  stuck("stock.reserved", ["payment.succeeded", "payment.failed"]);
  stuck("payment.succeeded", ["shipment.created"]);
  stuck("payment.failed", ["stock.released"]);
  stuck("stock.released", ["order.cancelled"]);
  stuck("shipment.created", ["customer.notified"]);
  stuck("order.cancelled", ["customer.notified"]);
  return lines;
};
