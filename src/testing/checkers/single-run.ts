/**
 * C5: of one message one handler runs at a time at one member: what comes again joins the run under way. Not
 * so after a run that was given up at its time-out, which may still go on without an effect.
 */
import type { History, Run, Violation } from "../history.ts";
import { runsByPlace } from "./facts.ts";

export const checkSingleRun = (history: History): Violation[] => {
  const violations: Violation[] = [];
  for (const [place, runs] of runsByPlace(history)) {
    for (const [at, run] of runs.entries()) {
      const before = runs.slice(0, at).find((earlier) => isBeside(earlier, run));
      if (before === undefined) continue;
      const message = `${place}: began at n${run.member} at ${run.startMs} while it ran there from ${before.startMs} to ${before.endMs}`;
      violations.push({ check: "C5", message });
    }
  }
  return violations;
};

const isBeside = (before: Run, run: Run): boolean =>
  before.member === run.member &&
  before.life === run.life &&
  (before.outcome === "ok" || before.outcome === "failed") &&
  run.startMs < (before.endMs ?? 0);
