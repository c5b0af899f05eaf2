/** Charges cards. Some are declined; some need a second try because the line to the bank drops. */
import { setTimeout as wait } from "node:timers/promises";
import { ChargePayment, PaymentFailed, PaymentSucceeded, StockReserved } from "../contracts.ts";
import type { Service } from "./service.ts";

const BANK_MS = 2;

export const payment: Service = async (node, { trace }) => {
  await node.subscribe(
    StockReserved,
    (order, ctx) => {
      ctx.send(ChargePayment, order, trace.start(ctx));
    },
    { durable: true },
  );

  await node.handle(ChargePayment, async (order, ctx) => {
    const started = trace.start(ctx);
    await wait(BANK_MS);
    if (order.card === "shaky" && ctx.message.attempt === 1) {
      throw new Error("the line to the bank dropped"); // meshbus tries again, and keeps the order
    }
    if (order.card === "declined") {
      ctx.publish(PaymentFailed, { ...order, reason: "card declined" }, started);
    } else {
      ctx.publish(PaymentSucceeded, order, started);
    }
  });
};
