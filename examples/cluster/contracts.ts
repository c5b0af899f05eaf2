/**
 * What the services of the shop say to one another: the only file they share.
 *
 * Every message carries the whole order, so that a handler needs nothing but its message. Messages with
 * one key keep their order: the customer's where money and parcels are concerned, the article's (sku)
 * where stock is.
 */
import { command, event, query } from "meshbus";
import { z } from "zod";

const Order = z.object({
  orderId: z.string(),
  customerId: z.string(),
  sku: z.string(),
  count: z.int().positive(),
  cents: z.int().positive(),
  card: z.string(),
});

export type Order = z.infer<typeof Order>;

const byCustomer = (order: Order): string => order.customerId;
const bySku = (order: Order): string => order.sku;

// --- events: what happened ---------------------------------------------------------------------

export const OrderPlaced = event("order.placed", { schema: Order, key: byCustomer });
export const StockReserved = event("stock.reserved", { schema: Order, key: bySku });
export const PaymentSucceeded = event("payment.succeeded", { schema: Order, key: byCustomer });
export const PaymentFailed = event("payment.failed", {
  schema: Order.extend({ reason: z.string() }),
  key: byCustomer,
});
export const ShipmentCreated = event("shipment.created", {
  schema: Order.extend({ parcel: z.string() }),
  key: byCustomer,
});
export const StockReleased = event("stock.released", { schema: Order, key: bySku });
export const OrderCancelled = event("order.cancelled", { schema: Order, key: byCustomer });
export const CustomerNotified = event("customer.notified", {
  schema: z.object({ orderId: z.string(), customerId: z.string(), text: z.string() }),
  key: (notice) => notice.customerId,
});

/** Everything that can be seen from outside: what the recorder records. */
export const ALL_EVENTS = [
  OrderPlaced,
  StockReserved,
  PaymentSucceeded,
  PaymentFailed,
  ShipmentCreated,
  StockReleased,
  OrderCancelled,
  CustomerNotified,
] as const;

// --- commands: what one service is to do ---------------------------------------------------------

export const ReserveStock = command("inventory.reserve", { schema: Order, key: bySku });
export const ReleaseStock = command("inventory.release", { schema: Order, key: bySku });
export const ChargePayment = command("payment.charge", { schema: Order, key: byCustomer });
export const CreateShipment = command("shipping.create", { schema: Order, key: byCustomer });

// --- queries: what one service asks another ------------------------------------------------------

export const PriceOf = query("inventory.price", {
  request: z.object({ sku: z.string(), count: z.int().positive() }),
  reply: z.object({ cents: z.int().positive() }),
});
