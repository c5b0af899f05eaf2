/** What the services say to one another. */
import { event, json } from "meshbus";

export type Order = { readonly id: string; readonly total: number };

export const OrderPlaced = event("order.placed", {
  schema: json<Order>(),
  key: (order) => order.id,
});

export const InvoiceSent = event("invoice.sent", {
  schema: json<{ readonly order: string; readonly due: number; readonly by: string }>(),
  key: (invoice) => invoice.order,
});
