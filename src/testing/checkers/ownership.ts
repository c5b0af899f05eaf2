/**
 * C5: of one producer and key only one handler runs at a time. Two members may overlap while members or
 * links change; one member alone never does, but for a run that was given up after its time-out.
 */
import type { History, Run, Violation } from "../history.ts";

export const checkOwnership = (history: History): Violation[] => {
  const violations: Violation[] = [];
  const lanes = new Map<string, Run[]>();
  for (const run of history.runs) {
    if (run.volatile || run.key === undefined) continue;
    if (history.known.get(run.subscription)?.keyed !== true) continue;
    const lane = `${run.subscription} n${run.producer} ${run.key}`;
    const there = lanes.get(lane);
    if (there === undefined) lanes.set(lane, [run]);
    else there.push(run);
  }
  for (const [lane, runs] of lanes) {
    let before: Run | undefined;
    for (const run of runs) {
      if (before !== undefined && overlaps(before, run) && !isExcused(history, before, run)) {
        violations.push({
          check: "C5",
          message: `${lane}: ${run.id} began at n${run.member} at ${run.startMs} while ${before.id} ran at n${before.member} from ${before.startMs} to ${before.endMs}`,
        });
      }
      if (before === undefined || (run.endMs ?? 0) >= (before.endMs ?? 0)) before = run;
    }
  }
  return violations;
};

/** A run without an end was cut, or hangs until it is given up. */
const overlaps = (before: Run, run: Run): boolean =>
  before.endMs !== undefined && run.startMs < before.endMs;

const isExcused = (history: History, before: Run, run: Run): boolean => {
  if (before.outcome === "revoked" || before.outcome === "running") return true;
  if (before.member === run.member) return before.life !== run.life;
  return !history.isCalm;
};
