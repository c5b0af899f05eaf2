/**
 * C8: a message that failed for good is a dead letter, once; the ledger counts as many as there are; what is
 * replayed is tried again, as a new message for its one subscription or, where it holds its key, in its place.
 */
import type { History, Violation } from "../history.ts";
import { kept, placeOf, runsByPlace } from "./facts.ts";

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
  return history.bitFlips > 0 ? violations : [...violations, ...notTriedAgain(history)];
};

const notTriedAgain = (history: History): Violation[] => {
  const stored = new Map(
    history.stored.map((record) => [`n${record.node} ${record.epoch}:${record.seq}`, record]),
  );
  const replays = new Map<string, number>();
  for (const { node, target, id } of kept(history)) {
    if (target === undefined) continue;
    const name = `n${node} ${target} ${id}`;
    replays.set(name, (replays.get(name) ?? 0) + 1);
  }
  const runs = runsByPlace(history);
  const violations: Violation[] = [];
  for (const { how, node, subscription, epoch, seq, holds, atMs } of history.tended) {
    if (how !== "replayed" || history.mayRepeat.has(node)) continue;
    const place = placeOf(subscription, node, epoch, seq);
    const record = stored.get(`n${node} ${epoch}:${seq}`);
    if (holds) {
      if (runs.get(place)?.some(({ startMs }) => startMs >= atMs) === true) continue;
      if (record?.expires === true || history.mayOverflow) continue; // its time was over
    }
    const name = `n${node} ${subscription} ${record?.id}`;
    const left = replays.get(name) ?? 0;
    replays.set(name, left - 1);
    if (left > 0) continue;
    violations.push({ check: "C8", message: `${place} was replayed and is not tried again` });
  }
  return violations;
};
