/** Hands paid orders to the carrier. */
import { CreateShipment, PaymentSucceeded, ShipmentCreated } from "../contracts.ts";
import type { Service } from "./service.ts";

export const shipping: Service = async (node, { trace }) => {
  await node.subscribe(
    PaymentSucceeded,
    (order, ctx) => {
      ctx.send(CreateShipment, order, trace.start(ctx));
    },
    { durable: true },
  );

  await node.handle(CreateShipment, (order, ctx) => {
    ctx.publish(ShipmentCreated, { ...order, parcel: `parcel-${order.orderId}` }, trace.start(ctx));
  });
};
