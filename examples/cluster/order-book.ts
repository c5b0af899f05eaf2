/** The orders of a run, made from its seed: the same seed, the same orders, also after a restart. */
import { seededRandom } from "./seeded-random.ts";

/** An order before it has a price. */
export type OrderDraft = {
  readonly orderId: string;
  readonly customerId: string;
  readonly sku: string;
  readonly count: number;
  readonly card: string;
};

const SKUS = ["lamp", "chair", "table", "shelf", "clock", "vase", "rug", "desk", "stool", "bench"];
/** So many orders a customer on average: order within a key means something. */
const ORDERS_PER_CUSTOMER = 10;
const DECLINED = 0.1;
const SHAKY = 0.03;

export const orderIdAt = (index: number): string => `o-${index + 1}`;

export const draftOrders = (count: number, seed: number): OrderDraft[] => {
  const random = seededRandom(seed, "orders");
  const customers = Math.max(1, Math.ceil(count / ORDERS_PER_CUSTOMER));
  return Array.from({ length: count }, (_, index) => ({
    orderId: orderIdAt(index),
    customerId: `customer-${random.between(1, customers)}`,
    sku: `${SKUS[random.between(0, SKUS.length - 1)]}-${random.between(1, 4)}`,
    count: random.between(1, 5),
    card: cardFor(random.fraction()),
  }));
};

/** "declined": the payment fails. "shaky": the bank's line drops at the first try. */
const cardFor = (fraction: number): string => {
  if (fraction < DECLINED) return "declined";
  return fraction < DECLINED + SHAKY ? "shaky" : "good";
};
