/**
 * C3: calls with one key at one node get rising positions, and per subscription, producer and key the first
 * good end of each message comes after that of every earlier one. What never ended well leaves a gap, and so does
 * what ends well only after its dead letter was on disk: a member that was paused may still run it, and its settle
 * is not accepted any more (a letter that holds its key is tried again in its place, though). When a message
 * expired no disk tells: amid faults one that may expire can end late for the same reason. Nodes on copies of one
 * folder are several producers, each with its order: what one of them buried is out of place for all.
 */
import type { History, Run, Said, Violation } from "../history.ts";
import { firstSuccess, idsGone, nodesWithCopies, placeOf, placesOf, runsByPlace } from "./facts.ts";

const NOBODY: ReadonlySet<number> = new Set();

export const checkOrder = (history: History): Violation[] => [
  ...callOrder(history),
  ...handlingOrder(history),
];

const callOrder = (history: History): Violation[] => {
  const violations: Violation[] = [];
  const last = new Map<string, Said>();
  const gone = idsGone(history);
  for (const said of history.said) {
    const { node, key, position, delayed, outcome } = said;
    if (outcome !== "ok" || position === undefined || key === undefined || delayed) continue;
    if (gone.has(said.id)) continue; // an older copy of the folder knows nothing of it
    const lane = `n${node} ${key}`;
    const before = last.get(lane);
    last.set(lane, said);
    if (before?.position === undefined || comparePlaces(before.position, position) < 0) continue;
    const message = `${said.id} was called after ${before.id} and stands before it, key ${key}`;
    violations.push({ check: "C3", message });
  }
  return violations;
};

const handlingOrder = (history: History): Violation[] => {
  const violations: Violation[] = [];
  const lanes = new Map<string, Run[]>();
  const gone = idsGone(history);
  const placeIn = placesOf(history);
  // What one of them let expire, or found damaged, no disk tells.
  const unjudged = history.mayOverflow || history.bitFlips > 0 ? nodesWithCopies(history) : NOBODY;
  const deadMs = new Map<string, number>();
  for (const { subscription, node, epoch, seq, atMs } of history.dead) {
    const place = placeIn(subscription, node, epoch, seq);
    if (!deadMs.has(place)) deadMs.set(place, atMs); // the first, where a copy knew nothing of it
  }
  const mayExpire = new Set(
    history.isCalm
      ? []
      : history.stored
          .filter(({ expires }) => expires)
          .map(({ node, epoch, seq }) => placeOf("", node, epoch, seq)),
  );
  for (const [place, runs] of runsByPlace(history)) {
    // A place may have been given twice, by a folder and an older copy of it.
    const first = firstSuccess(gone.size === 0 ? runs : runs.filter(({ id }) => !gone.has(id)));
    if (first?.key === undefined || unjudged.has(first.producer)) continue;
    const known = history.known.get(first.subscription);
    if (known?.keyed !== true) continue;
    const isTooLate = (first.endMs ?? 0) >= (deadMs.get(place) ?? Number.POSITIVE_INFINITY);
    if (isTooLate && !known.holds) continue;
    const lane = `${first.subscription} n${first.producer} ${first.key}`;
    const there = lanes.get(lane);
    if (there === undefined) lanes.set(lane, [first]);
    else there.push(first);
  }
  for (const [lane, runs] of lanes) {
    runs.sort(comparePlaces);
    let latest: Run | undefined;
    for (const run of runs) {
      if (latest !== undefined && (run.endMs ?? 0) < (latest.endMs ?? 0)) {
        violations.push({
          check: "C3",
          message: `${lane}: ${run.id} at ${run.epoch}:${run.seq} ended at ${run.endMs}, before ${latest.id} at ${latest.epoch}:${latest.seq} did at ${latest.endMs}`,
        });
      }
      if (mayExpire.has(placeOf("", run.producer, run.epoch, run.seq))) continue;
      if (latest === undefined || (run.endMs ?? 0) > (latest.endMs ?? 0)) latest = run;
    }
  }
  return violations;
};

type Place = { readonly epoch: number; readonly seq: number };

const comparePlaces = (a: Place, b: Place): number => a.epoch - b.epoch || a.seq - b.seq;
