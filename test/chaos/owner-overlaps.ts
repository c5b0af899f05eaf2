/**
 * C5 on real processes: two handlers of one key and subscription at a time, at two members.
 *
 * While the set of members is stable there must be none, whoever produces. While it changes, or a member is
 * paused for longer than its lease, there may be: how long is reported. In one process there never are, and
 * two members never have effects under one fence.
 */
import type { Run, Violation } from "../../src/testing/history.ts";
import type { Stability } from "./absences.ts";

export type Overlaps = {
  readonly violations: readonly Violation[];
  /** Sum over all pairs of handlers, while members changed. */
  readonly unstableMs: number;
};

type Stretch = { readonly run: Run; readonly fromMs: number; readonly toMs: number };

/** Shorter than the two processes' lines can be told apart. */
const GRAIN_MS = 0.5;

/** `endOfLife` says when the process of a run without an end was gone. */
export const ownerOverlaps = (
  runs: readonly Run[],
  stability: Stability,
  endOfLife: (run: Run) => number,
): Overlaps => {
  const violations: Violation[] = [];
  let unstableMs = 0;
  for (const [lane, stretches] of lanesOf(runs, endOfLife)) {
    let running: Stretch[] = [];
    for (const stretch of stretches) {
      running = running.filter(({ toMs }) => toMs > stretch.fromMs);
      for (const other of running) {
        const overlap = overlapOf(other, stretch, stability);
        if (overlap === undefined) continue;
        if (overlap.stableMs <= GRAIN_MS) unstableMs += overlap.ms;
        else violations.push({ check: "C5", message: describe(lane, other, stretch) });
      }
      running.push(stretch);
    }
  }
  return { violations, unstableMs };
};

/** A fence of a key belongs to one life of one member: two that had effects under it are both owners. */
export const sharedFences = (runs: readonly Run[]): Violation[] => {
  const violations: Violation[] = [];
  const owners = new Map<string, Run>();
  for (const run of runs) {
    if (run.outcome !== "ok") continue;
    const fence = `${run.subscription}, key ${run.key}, fence ${run.fence}`;
    const owner = owners.get(fence);
    if (owner === undefined) owners.set(fence, run);
    else if (owner.member !== run.member || owner.life !== run.life) {
      const [one, other] = [owner, run].map(({ id, member, life }) => `${id} at ${member}.${life}`);
      violations.push({ check: "C5", message: `${fence}: ${one}; ${other}` });
    }
  }
  return violations;
};

const lanesOf = (runs: readonly Run[], endOfLife: (run: Run) => number): Map<string, Stretch[]> => {
  const lanes = new Map<string, Stretch[]>();
  for (const run of runs) {
    const lane = `${run.subscription}, key ${run.key}`;
    const stretch = { run, fromMs: run.startMs, toMs: run.endMs ?? endOfLife(run) };
    const there = lanes.get(lane);
    if (there === undefined) lanes.set(lane, [stretch]);
    else there.push(stretch);
  }
  for (const stretches of lanes.values()) stretches.sort((a, b) => a.fromMs - b.fromMs);
  return lanes;
};

const overlapOf = (
  one: Stretch,
  other: Stretch,
  stability: Stability,
): { readonly ms: number; readonly stableMs: number } | undefined => {
  const fromMs = Math.max(one.fromMs, other.fromMs);
  const toMs = Math.min(one.toMs, other.toMs);
  const ms = toMs - fromMs;
  if (ms <= 0) return undefined;
  if (one.run.member !== other.run.member || one.run.life !== other.run.life) {
    return { ms, stableMs: stability.stableMs(fromMs, toMs) };
  }
  return { ms, stableMs: Number.POSITIVE_INFINITY };
};

const describe = (lane: string, one: Stretch, other: Stretch): string => {
  const part = ({ run, fromMs, toMs }: Stretch): string =>
    `${run.id} at process ${run.member} from ${fromMs} to ${toMs}`;
  return `${lane}: ${part(one)}; ${part(other)}`;
};
