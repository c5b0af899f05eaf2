/**
 * C2: nothing is invented. What a handler gets was said by somebody, was not refused, and is stored once;
 * what handlers send was sent by one that ended well.
 */
import type { History, Violation } from "../history.ts";
import { kept } from "./facts.ts";

export const checkInvention = (history: History): Violation[] => {
  const violations: Violation[] = [];
  const invent = (message: string): void => {
    violations.push({ check: "C2", message });
  };
  const sent = new Set<string>();
  for (const run of history.runs) {
    if (run.outcome === "ok") for (const effect of run.sent) sent.add(effect);
  }
  const seen = new Set<string>();
  for (const { id, node, epoch, seq, target } of kept(history)) {
    const isEffect = id.includes("|");
    if (isEffect && !sent.has(id)) invent(`${id} left and no handler that sent it ended well`);
    if (!isEffect && !history.saidById.has(id)) invent(`${id} is stored and nobody said it`);
    if (history.saidById.get(id)?.outcome === "refused") {
      invent(`${id} was refused and is stored at n${node} ${epoch}:${seq}`);
    }
    if (target !== undefined || isEffect) continue;
    if (seen.has(id)) invent(`${id} is stored twice, again at n${node} ${epoch}:${seq}`);
    seen.add(id);
  }
  const places = new Map<string, string>();
  /** What older copies of folders took the place of. */
  const gone = new Set<string>();
  for (const { node, epoch, seq, id, state, isCopied } of history.stored) {
    if (state === "burnt" && isCopied !== true) continue;
    const place = `n${node} ${epoch}:${seq}`;
    if (state === "gone") {
      gone.add(`${place} ${id}`);
      continue;
    }
    const before = places.get(place);
    if (before !== undefined && before !== id) invent(`${place} holds both ${before} and ${id}`);
    places.set(place, id);
  }
  for (const { volatile, producer, epoch, seq, id } of history.runs) {
    if (volatile) continue;
    const place = `n${producer} ${epoch}:${seq}`;
    const stored = places.get(place);
    if (gone.has(`${place} ${id}`)) continue;
    if (stored === undefined)
      invent(`${id} was handled and n${producer} ${epoch}:${seq} is not stored`);
    else if (stored !== id) invent(`n${producer} ${epoch}:${seq} is ${stored}, handled was ${id}`);
  }
  return violations;
};
