/** Who is killed, and when: in the middle of its own work, at a moment that the seed decides. */
import type { Victim } from "./arguments.ts";
import { seededRandom } from "./seeded-random.ts";

export type KillPlan = {
  /** "inventory-2" */
  readonly name: string;
  /** It dies when so many of the events that it publishes were seen. */
  readonly subjects: readonly string[];
  readonly events: number;
  readonly restartAfterMs: number;
};

export const INVENTORY_INSTANCES = 3;

const OUTPUT: Readonly<Record<Exclude<Victim, "none">, readonly string[]>> = {
  orders: ["order.placed"],
  inventory: ["stock.reserved"],
  payment: ["payment.succeeded", "payment.failed"],
  shipping: ["shipment.created"],
  notification: ["customer.notified"],
};

export const killPlanOf = (victim: Victim, orders: number, seed: number): KillPlan | undefined => {
  if (victim === "none") return undefined;
  const random = seededRandom(seed, "kill");
  const instance = random.between(1, INVENTORY_INSTANCES);
  const share = 0.2 + 0.4 * random.fraction();
  return {
    name: victim === "inventory" ? `inventory-${instance}` : victim,
    subjects: OUTPUT[victim],
    events: Math.max(1, Math.floor(orders * share)),
    restartAfterMs: random.between(100, 2_000),
  };
};
