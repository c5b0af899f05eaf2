/**
 * C8: a message that failed for good is a dead letter, once; what became one was not acked as well, and the
 * ledger counts as many as there are.
 */
import type { History, Violation } from "../history.ts";
import { placeOf } from "./facts.ts";

export const checkDeadLetters = (history: History): Violation[] => {
  const violations: Violation[] = [];
  const places = new Map<string, number>();
  const bySubscription = new Map<string, number>();
  for (const { subscription, node, epoch, seq } of history.dead) {
    const place = placeOf(subscription, node, epoch, seq);
    const count = (places.get(place) ?? 0) + 1;
    places.set(place, count);
    if (history.known.get(subscription)?.holds === true) continue; // tried again in its place
    if (history.restored.some((one) => one.node === node)) continue; // and once more by an older copy
    if (count > 1) violations.push({ check: "C8", message: `${place} became a dead letter twice` });
    const owner = `n${node} ${subscription}`;
    bySubscription.set(owner, (bySubscription.get(owner) ?? 0) + 1);
  }
  if (!history.isQuiet) return violations;
  for (const { node, subscription, dead } of history.ledgers) {
    const known = history.known.get(subscription);
    if (known === undefined || known.holds || !known.durable) continue;
    if (history.restored.some((one) => one.node === node)) continue;
    const found = bySubscription.get(`n${node} ${subscription}`) ?? 0;
    if (found === dead) continue;
    const message = `n${node} counts ${dead} dead of "${subscription}", ${found} reached its disk`;
    violations.push({ check: "C8", message });
  }
  return violations;
};
