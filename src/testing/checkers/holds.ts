/**
 * C3: where a dead letter holds its key, nothing later of the key starts until the letter was replayed or
 * discarded.
 */
import type { Dead, History, Run, Violation } from "../history.ts";
import { placeOf, runsByPlace } from "./facts.ts";

export const checkHolds = (history: History): Violation[] => {
  // A message that is damaged holds nothing.
  if (!history.isWhole || history.bitFlips > 0) return [];
  const violations: Violation[] = [];
  const runs = runsByPlace(history);
  const tendedMs = new Map<string, number[]>();
  for (const { subscription, node, epoch, seq, atMs } of history.tended) {
    const place = placeOf(subscription, node, epoch, seq);
    tendedMs.set(place, [...(tendedMs.get(place) ?? []), atMs]);
  }
  const lanes = new Map<string, Run[]>();
  for (const run of [...runs.values()].flat()) {
    const { subscription, producer, key } = run;
    const known = history.known.get(subscription);
    if (key === undefined || known?.holds !== true || !known.keyed) continue;
    const lane = laneOf(subscription, producer, key);
    const there = lanes.get(lane);
    if (there === undefined) lanes.set(lane, [run]);
    else there.push(run);
  }
  for (const dead of history.dead) {
    const place = placeOf(dead.subscription, dead.node, dead.epoch, dead.seq);
    const own = runs.get(place) ?? [];
    const key = own[0]?.key;
    if (key === undefined) continue;
    const ends = [...(tendedMs.get(place) ?? []), ...own.map(({ startMs }) => startMs)];
    const untilMs = Math.min(...ends.filter((ms) => ms >= dead.atMs));
    const early = lanes
      .get(laneOf(dead.subscription, dead.node, key))
      ?.find((run) => isLater(run, dead) && run.startMs > dead.atMs && run.startMs < untilMs);
    if (early === undefined) continue;
    const message = `${place} holds its key from ${dead.atMs} on, and ${early.id} began at ${early.startMs}`;
    violations.push({ check: "C3", message });
  }
  return violations;
};

const laneOf = (subscription: string, producer: number, key: string): string =>
  `${subscription} n${producer} ${key}`;

const isLater = (run: Run, dead: Dead): boolean =>
  run.epoch > dead.epoch || (run.epoch === dead.epoch && run.seq > dead.seq);
