/**
 * C5: of one key of a subscription, whoever produces it, only one handler runs at a time, and what counts
 * never goes back to a smaller fence.
 *
 * Two members may overlap after something happened to members or links, until leases have run out and shards
 * have found their owners; never in a calm mesh, where members only join and leave, and where a key does not
 * go to another member before its handler here has ended. One member alone never
 * does, but for a run that was given up after its time-out or its loss of the key. Two nodes on copies of one folder
 * are one member to all others, and each of them holds what it was told to. Of fences only the accepted
 * run of a message counts, which a history does not tell: some choice among its good ends has to fit.
 */
import type { History, Run, Violation } from "../history.ts";
import { nodesWithCopies } from "./facts.ts";

/** Silence, lease and debounce, with slow clocks. */
const STABLE_AFTER_MS = 12_000;

export const checkOwnership = (history: History): Violation[] => [
  ...oneAtATime(history),
  ...risingFences(history),
];

const oneAtATime = (history: History): Violation[] => {
  const violations: Violation[] = [];
  const changes = [...history.changesMs].sort((a, b) => a - b);
  const withCopies = nodesWithCopies(history);
  for (const [lane, runs] of lanesOf(
    history,
    ({ subscription, key }) => `${subscription} ${key}`,
  )) {
    runs.sort((a, b) => a.startMs - b.startMs);
    let open: Run[] = [];
    for (const run of runs) {
      open = open.filter((before) => (before.endMs ?? 0) > run.startMs);
      for (const before of open) {
        const ofCopies = withCopies.has(before.member) || withCopies.has(run.member);
        if (before.member !== run.member && ofCopies) continue;
        if (isExcused(history, changes, before, run)) continue;
        violations.push({
          check: "C5",
          message: `${lane}: ${run.id} of n${run.producer} began at n${run.member} at ${run.startMs} (fence ${run.fence}) while ${before.id} of n${before.producer} ran at n${before.member} from ${before.startMs} to ${before.endMs} (fence ${before.fence})`,
        });
      }
      // A run without an end was cut, or hangs until it is given up.
      if (run.endMs !== undefined && run.endMs > run.startMs) open.push(run);
    }
  }
  return violations;
};

const isExcused = (
  history: History,
  changes: readonly number[],
  before: Run,
  run: Run,
): boolean => {
  if (before.outcome === "revoked" || before.outcome === "running") return true;
  if (before.member === run.member) {
    return before.outcome === "surrendered" || before.life !== run.life;
  }
  if (history.isCalm) return false; // nor is a key taken from whoever still handles it
  if (before.outcome === "surrendered") return true;
  const last = lastUpTo(changes, run.startMs);
  return last !== undefined && last >= before.startMs - STABLE_AFTER_MS;
};

const lastUpTo = (sorted: readonly number[], limit: number): number | undefined => {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as number) <= limit) low = middle + 1;
    else high = middle;
  }
  return sorted[low - 1];
};

export const risingFences = (history: History): Violation[] => {
  const violations: Violation[] = [];
  const laneOf = ({ subscription, producer, key }: Run): string =>
    `${subscription} n${producer} ${key}`;
  for (const [lane, runs] of lanesOf(history, laneOf)) {
    const { subscription, producer } = runs[0] as Run;
    if (history.known.get(subscription)?.durable !== true) continue;
    if (history.mayRepeat.has(producer)) continue; // it may have forgotten terms too
    const good = runs.filter(({ outcome }) => outcome === "ok");
    good.sort((a, b) => a.epoch - b.epoch || a.seq - b.seq || a.fence - b.fence);
    let least = 0;
    for (let at = 0; at < good.length; ) {
      const { epoch, seq, id } = good[at] as Run;
      const fences: number[] = [];
      for (; good[at]?.epoch === epoch && good[at]?.seq === seq; at++) {
        fences.push((good[at] as Run).fence);
      }
      const fits = fences.find((fence) => fence >= least);
      if (fits === undefined) {
        const message = `${lane}: ${id} at ${epoch}:${seq} ended under fence ${fences}, after ${least}`;
        violations.push({ check: "C5", message });
      }
      least = fits ?? least;
    }
  }
  return violations;
};

const lanesOf = (history: History, laneOf: (run: Run) => string): Map<string, Run[]> => {
  const lanes = new Map<string, Run[]>();
  for (const run of history.runs) {
    if (run.volatile || run.key === undefined) continue;
    if (history.known.get(run.subscription)?.keyed !== true) continue;
    const lane = laneOf(run);
    const there = lanes.get(lane);
    if (there === undefined) lanes.set(lane, [run]);
    else there.push(run);
  }
  return lanes;
};
