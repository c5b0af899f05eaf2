/**
 * C3: where a dead letter holds its key, nothing later of the key starts until the letter was replayed or
 * discarded, or an older copy of the folder took its place that knows nothing of the letter.
 */
import type { Dead, History, Run, Violation } from "../history.ts";
import { idsGone, placeOf, runsByPlace } from "./facts.ts";

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
  const gone = idsGone(history);
  /** A member may still begin what it has from a life that no folder knows of any more. */
  const isOfLostLife = ({ id, producer, startMs }: Run): boolean =>
    gone.has(id) && history.restored.some(({ node, atMs }) => node === producer && startMs >= atMs);
  const lanes = new Map<string, Run[]>();
  for (const run of [...runs.values()].flat()) {
    const { subscription, producer, key } = run;
    const known = history.known.get(subscription);
    if (key === undefined || known?.holds !== true || !known.keyed) continue;
    if (isOfLostLife(run)) continue;
    const lane = laneOf(subscription, producer, key);
    const there = lanes.get(lane);
    if (there === undefined) lanes.set(lane, [run]);
    else there.push(run);
  }
  for (const dead of history.dead) {
    const place = placeOf(dead.subscription, dead.node, dead.epoch, dead.seq);
    // A place may have been given twice, by a folder and an older copy of it.
    const failed = runs.get(place)?.findLast(({ startMs }) => startMs <= dead.atMs);
    const key = failed?.key;
    if (key === undefined) continue;
    const own = (runs.get(place) ?? []).filter(({ id }) => id === failed?.id);
    const ends = [...(tendedMs.get(place) ?? []), ...own.map(({ startMs }) => startMs)];
    if (dead.goneMs !== undefined) ends.push(dead.goneMs);
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
