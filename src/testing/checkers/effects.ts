/**
 * C4: what a handler sent through ctx leaves exactly once when its message was acked, and never more than
 * once; what it wrote into ctx.state is there, and changed once for each message.
 */
import type { History, Violation } from "../history.ts";
import { kept, placeOf } from "./facts.ts";

export const checkEffects = (history: History): Violation[] => {
  const violations: Violation[] = [];
  const left = new Map<string, number>();
  for (const { id, target } of kept(history)) {
    if (id.includes("|") && target === undefined) left.set(id, (left.get(id) ?? 0) + 1);
  }
  const repeatable = new Set<string>();
  for (const { producer, member, sent } of history.runs) {
    if (!history.mayRepeat.has(producer) && !history.mayRepeat.has(member)) continue;
    for (const id of sent) repeatable.add(id);
  }
  for (const [id, count] of left) {
    if (count > 1 && !repeatable.has(id))
      violations.push({ check: "C4", message: `${id} left ${count} times` });
  }
  const changed = new Set<string>();
  for (const { member, subscription, producer, epoch, seq, times } of history.states) {
    const place = placeOf(subscription, producer, epoch, seq);
    changed.add(place);
    if (times <= 1 || history.mayRepeat.has(producer) || history.mayRepeat.has(member)) continue;
    const message = `${place} changed the state of n${member} ${times} times`;
    violations.push({ check: "C4", message });
  }
  if (!history.isQuiet || history.bitFlips > 0) return violations;
  const dead = new Set(
    history.dead.map(({ subscription, node, epoch, seq }) =>
      placeOf(subscription, node, epoch, seq),
    ),
  );
  const expires = new Set(
    history.stored
      .filter((record) => record.expires)
      .map(({ node, epoch, seq }) => `n${node} ${epoch}:${seq}`),
  );
  // What a node holds that never runs again does not leave; what left may be lost where an older disk is back.
  const lostWithMember = new Set<string>();
  for (const { outcome, member, subscription, producer, epoch, seq } of history.runs) {
    if (outcome !== "ok") continue;
    if (!history.retired.has(member) && !history.mayRepeat.has(member)) continue;
    lostWithMember.add(placeOf(subscription, producer, epoch, seq));
  }
  for (const { outcome, volatile, sent, subscription, producer, epoch, seq } of history.runs) {
    if (outcome !== "ok" || volatile) continue;
    // What was held, or the word on it, may have been on a disk that is lost.
    if (history.mayRepeat.has(producer)) continue;
    const known = history.known.get(subscription);
    // It may have ended otherwise: expired, or a dead letter after it ended well where that did not count.
    if (known?.durable !== true || history.mayOverflow) continue;
    const place = placeOf(subscription, producer, epoch, seq);
    if (dead.has(place) || expires.has(`n${producer} ${epoch}:${seq}`)) continue;
    if (lostWithMember.has(place)) continue;
    for (const id of sent) {
      if (!left.has(id)) violations.push({ check: "C4", message: `${id} never left` });
    }
    if (known.moves || !history.isWhole || changed.has(place)) continue;
    violations.push({ check: "C4", message: `${place} ended well and changed no state` });
  }
  return violations;
};
