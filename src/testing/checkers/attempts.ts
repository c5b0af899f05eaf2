/**
 * C8: an attempt is a handler that failed. A message is not given up for more attempts than handlers began,
 * and each attempt counts, so that a message that always fails comes to its end.
 */
import type { History, Run, Violation } from "../history.ts";
import { placeOf, placesOf, runsByPlace } from "./facts.ts";

/** Deaths of members after which the message that was alone there is blamed, also if it had not started. */
const DEATHS_FORGIVEN = 2;

export const checkAttempts = (history: History): Violation[] => {
  if (!history.isWhole) return [];
  const violations: Violation[] = [];
  const runs = runsByPlace(history);
  const placeIn = placesOf(history);
  const excusable = Math.max(0, history.disruptions - DEATHS_FORGIVEN);
  for (const { subscription, node, epoch, seq, attempts } of history.dead) {
    const place = placeOf(subscription, node, epoch, seq);
    const began = runs.get(placeIn(subscription, node, epoch, seq))?.length ?? 0;
    if (attempts <= began + excusable) continue;
    const message = `${place} is dead after ${attempts} attempts, handlers began ${began}`;
    violations.push({ check: "C8", message });
  }
  if (!history.isCalm) return violations;
  const resumed = new Set(
    history.tended
      .filter(({ holds }) => holds)
      .map(({ subscription, node, epoch, seq }) => placeOf(subscription, node, epoch, seq)),
  );
  for (const [place, ofPlace] of runs) {
    if (resumed.has(place)) continue; // a message that is tried again in its place begins anew
    const repeated = notCounted(ofPlace);
    if (repeated === undefined) continue;
    const message = `${place}: attempt ${repeated.attempt} failed, and the next was no later one`;
    violations.push({ check: "C8", message });
  }
  return violations;
};

/** The first failed run that the run after it does not count. */
const notCounted = (runs: readonly Run[]): Run | undefined =>
  runs.find((run, at) => {
    const next = runs[at + 1];
    const failed = run.outcome === "failed" || run.outcome === "revoked";
    return failed && next !== undefined && next.attempt <= run.attempt;
  });
