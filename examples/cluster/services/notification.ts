/** Tells customers how their order ended. */
import { CustomerNotified, OrderCancelled, ShipmentCreated } from "../contracts.ts";
import type { Service } from "./service.ts";

export const notification: Service = async (node, { trace }) => {
  await node.subscribe(
    ShipmentCreated,
    ({ orderId, customerId, parcel }, ctx) => {
      const text = `${parcel} is on its way`;
      ctx.publish(CustomerNotified, { orderId, customerId, text }, trace.start(ctx));
    },
    { durable: true },
  );

  await node.subscribe(
    OrderCancelled,
    ({ orderId, customerId }, ctx) => {
      const text = "your card was declined, the order is cancelled";
      ctx.publish(CustomerNotified, { orderId, customerId, text }, trace.start(ctx));
    },
    { durable: true },
  );
};
