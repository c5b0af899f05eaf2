/**
 * C1: nothing accepted is lost. What was accepted is in a journal, and every durable subscription that is
 * owed it has handled it, made it a dead letter, or let it expire where it may.
 */
import type { History, Violation } from "../history.ts";
import { firstSuccess, idsGone, isOwed, kept, placeOf, runsByPlace } from "./facts.ts";

export const checkLoss = (history: History): Violation[] => {
  const violations: Violation[] = [];
  const lose = (message: string): void => {
    violations.push({ check: "C1", message });
  };
  const records = kept(history);
  const ids = new Set(records.map(({ id }) => id));
  const gone = idsGone(history);
  for (const { id, node, outcome, delayed, invokedMs } of history.said) {
    if (outcome !== "ok" || ids.has(id)) continue;
    if (delayed && !history.isQuiet) continue;
    if (gone.has(id)) continue; // its disk is lost
    if (delayed && history.restored.some((one) => one.node === node && invokedMs < one.atMs))
      continue;
    lose(`${id} was accepted and is in no journal`);
  }
  if (!history.isQuiet) return violations;
  const runs = runsByPlace(history);
  const dead = new Set(
    history.dead
      .filter(({ goneMs }) => goneMs === undefined)
      .map(({ subscription, node, epoch, seq }) => placeOf(subscription, node, epoch, seq)),
  );
  for (const known of history.known.values()) {
    for (const record of records) {
      if (!isOwed(known, record)) continue;
      const { node, epoch, seq, id } = record;
      if (history.retired.has(node)) continue;
      const place = placeOf(known.id, node, epoch, seq);
      // A place may have been given twice, by a folder and an older copy of it, for something else or,
      // where a handler sent it, for the same once more.
      const own = runs.get(place)?.filter((run) => run.id === id || !gone.has(run.id));
      if (firstSuccess(own) !== undefined || dead.has(place)) continue;
      if (record.expires || history.mayOverflow) continue;
      // Nobody can read it; a ledger counts it only where it was counted before it was found.
      if (record.isDamaged) continue;
      lose(`${id} at n${node} ${epoch}:${seq} never came to an end for "${known.id}"`);
    }
  }
  return violations;
};
