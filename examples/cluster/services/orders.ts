/** Takes orders from customers, and cancels those whose stock was given back. */
import { setTimeout as wait } from "node:timers/promises";
import { MeshError, type MeshNode } from "meshbus";
import { OrderCancelled, OrderPlaced, PriceOf, StockReleased } from "../contracts.ts";
import { draftOrders, type OrderDraft } from "../order-book.ts";
import type { Service } from "./service.ts";

/** Customers who order at the same time. */
const COUNTERS = 32;

export const orders: Service = async (node, { spec, trace }) => {
  await node.subscribe(
    StockReleased,
    (order, ctx) => {
      ctx.publish(OrderCancelled, order, trace.start(ctx));
    },
    { durable: true },
  );

  return async () => {
    const drafts = draftOrders(spec.orders, spec.seed);
    const startMs = performance.now();
    let next = 0;
    const serve = async (): Promise<void> => {
      for (let index = next++; index < drafts.length; index = next++) {
        if (spec.ordersPerSecond > 0) {
          const dueMs = startMs + (index * 1_000) / spec.ordersPerSecond;
          await wait(Math.max(0, dueMs - performance.now()));
        }
        await place(node, drafts[index] as OrderDraft);
      }
    };
    await Promise.all(Array.from({ length: COUNTERS }, serve));
  };
};

/** The key makes it safe to place all orders again after a crash: each is accepted once. */
const place = async (node: MeshNode, draft: OrderDraft): Promise<void> => {
  const cents = await priceOf(node, draft);
  await node.publish(OrderPlaced, { ...draft, cents }, { idempotencyKey: draft.orderId });
};

/** A request goes to one live instance, once: when that instance dies, asking again is ours to do. */
const priceOf = async (node: MeshNode, { sku, count }: OrderDraft): Promise<number> => {
  for (;;) {
    try {
      const { cents } = await node.request(PriceOf, { sku, count }, { timeoutMs: 2_000 });
      return cents;
    } catch (error) {
      if (!MeshError.is(error) || !error.retryable) throw error;
    }
  }
};
