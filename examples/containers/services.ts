/** The three services: each declares what it handles, and answers its own HTTP paths. */
import { setTimeout as sleep } from "node:timers/promises";
import type { MeshNode } from "meshbus";
import { InvoiceSent, type Order, OrderPlaced } from "./contracts.ts";
import type { Answer, Route } from "./probes.ts";
import type { ServiceName, Settings } from "./settings.ts";

const SHOWN_MAX = 10_000;

/** `POST /orders`: 202 once the order is on this node's disk, whoever else is there. */
const orders = async (node: MeshNode): Promise<Route> => {
  return async (method, path, body) => {
    if (method !== "POST" || path !== "/orders") return undefined;
    const order = orderFrom(body);
    if (order === undefined) return refused("an order is {id, total}");
    const { position } = await node.publish(OrderPlaced, order);
    return { status: 202, body: { id: order.id, position } };
  };
};

/**
 * Sends an invoice for each order; what comes while all its instances are away waits at `orders`. `GET /charges`:
 * how many it works on.
 */
const billing = async (node: MeshNode, { chargeMs }: Settings): Promise<Route> => {
  let underWay = 0;
  await node.subscribe(
    OrderPlaced,
    async ({ id, total }, ctx) => {
      underWay++;
      await sleep(chargeMs);
      underWay--;
      ctx.publish(InvoiceSent, { order: id, due: total, by: node.id });
    },
    { durable: true },
  );
  return async (method, path) => {
    return method === "GET" && path === "/charges" ? { status: 200, body: underWay } : undefined;
  };
};

/** `GET /invoices`: those that reached this instance since it started. */
const audit = async (node: MeshNode): Promise<Route> => {
  const invoices: unknown[] = [];
  await node.subscribe(
    InvoiceSent,
    (invoice) => {
      if (invoices.push(invoice) > SHOWN_MAX) invoices.shift();
    },
    { durable: true },
  );
  return async (method, path) => {
    return method === "GET" && path === "/invoices" ? { status: 200, body: invoices } : undefined;
  };
};

export const SERVE: Readonly<
  Record<ServiceName, (node: MeshNode, settings: Settings) => Promise<Route>>
> = { orders, billing, audit };

const refused = (error: string): Answer => ({ status: 400, body: { error } });

const orderFrom = (body: string): Order | undefined => {
  try {
    const { id, total } = JSON.parse(body) as Partial<Order>;
    return typeof id === "string" && typeof total === "number" ? { id, total } : undefined;
  } catch {
    return undefined;
  }
};
