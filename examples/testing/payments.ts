/** The service under test. It knows nothing of tests: what it needs, its node included, is given to it. */
import { type createNode, event, json, type MeshNode } from "meshbus";

export type Order = { readonly id: string; readonly total: number };

export const OrderPlaced = event("order.placed", { schema: json<Order>(), key: ({ id }) => id });
export const OrderPaid = event("order.paid", { schema: json<Order>(), key: ({ id }) => id });

/** The key lets the bank tell a repeat from a second charge. */
export type Bank = { charge(order: Order, idempotencyKey: string): Promise<void> };

export async function startPayments(create: typeof createNode, bank: Bank): Promise<MeshNode> {
  const node = await create({ service: "payments", mesh: "shop" });
  await node.subscribe(
    OrderPlaced,
    async (order, ctx) => {
      await bank.charge(order, ctx.message.id);
      ctx.publish(OrderPaid, order); // leaves once, with the message's acknowledgement
    },
    { durable: true, retry: { attempts: 30, baseMs: 60_000, capMs: 3_600_000 } },
  );
  return node;
}
