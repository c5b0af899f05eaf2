/** Reserves stock for orders and takes it back. Runs as three instances that share the work by article. */
import { setTimeout as wait } from "node:timers/promises";
import {
  OrderPlaced,
  PaymentFailed,
  PriceOf,
  ReleaseStock,
  ReserveStock,
  StockReleased,
  StockReserved,
} from "../contracts.ts";
import type { Service } from "./service.ts";

const SHELF_MS = 1;

export const inventory: Service = async (node, { trace }) => {
  await node.subscribe(
    OrderPlaced,
    (order, ctx) => {
      ctx.send(ReserveStock, order, trace.start(ctx));
    },
    { durable: true },
  );

  await node.handle(ReserveStock, async (order, ctx) => {
    const started = trace.start(ctx);
    await wait(SHELF_MS); // a walk to the shelf
    ctx.publish(StockReserved, order, started);
  });

  await node.subscribe(
    PaymentFailed,
    ({ reason: _reason, ...order }, ctx) => {
      ctx.send(ReleaseStock, order, trace.start(ctx));
    },
    { durable: true },
  );

  await node.handle(ReleaseStock, (order, ctx) => {
    ctx.publish(StockReleased, order, trace.start(ctx));
  });

  await node.reply(PriceOf, ({ sku, count }) => ({ cents: count * (500 + 25 * sku.length) }));
};
