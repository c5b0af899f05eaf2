/** What several checkers ask of a history. Written apart from the code under test on purpose. */
import type { History, Known, Run, Stored } from "../history.ts";

/** `*` matches one token, `>` the rest. */
export const matches = (pattern: string, subject: string): boolean => {
  const wanted = pattern.split(".");
  const given = subject.split(".");
  for (const [at, token] of wanted.entries()) {
    if (token === ">") return given.length > at;
    if (given[at] === undefined || (token !== "*" && token !== given[at])) return false;
  }
  return wanted.length === given.length;
};

/** Messages that are in a journal for good. */
export const kept = (history: History): Stored[] =>
  history.stored.filter(({ state, id }) => id !== "" && (state === "ok" || state === "revived"));

/** What older copies of folders took the place of: lost with the disk. */
export const idsGone = (history: History): ReadonlySet<string> =>
  new Set(history.stored.filter(({ state }) => state === "gone").map(({ id }) => id));

export const concerns = (known: Known, record: Stored): boolean => {
  if (record.target !== undefined) return record.target === known.id;
  if ((record.kind === "command") !== (known.role === "commands")) return false;
  if (!matches(known.pattern, record.subject)) return false;
  return Object.entries(known.filter).every(([name, value]) => record.headers[name] === value);
};

/** Whether the subscription must get it: a command always, an event from the births of all members on. */
export const isOwed = (known: Known, record: Stored): boolean => {
  if (!concerns(known, record) || !known.durable) return false;
  if (known.role === "commands" || record.target !== undefined) return true;
  if (known.births.length === 0) return false;
  return known.births.every(
    ({ ms, counter }) =>
      record.timeMs > ms || (record.timeMs === ms && record.timeCounter >= counter),
  );
};

export const placeOf = (subscription: string, node: number, epoch: number, seq: number): string =>
  `${subscription} n${node} ${epoch}:${seq}`;

/**
 * Where runs of a message stand that is in this node's journal: a node on a copy of another's folder goes by its
 * name, and no run tells which of them sent what came with the folder. It counts as the owner's.
 */
export const placesOf = (
  history: History,
): ((subscription: string, node: number, epoch: number, seq: number) => string) => {
  const own = new Set(
    history.stored
      .filter(({ node }) => history.copies.has(node))
      .map(({ node, epoch, seq }) => placeOf("", node, epoch, seq)),
  );
  return (subscription, node, epoch, seq) => {
    const owner = own.has(placeOf("", node, epoch, seq)) ? undefined : history.copies.get(node);
    return placeOf(subscription, owner ?? node, epoch, seq);
  };
};

/** Nodes that are at work, or were, on copies of one folder. */
export const nodesWithCopies = (history: History): ReadonlySet<number> =>
  new Set([...history.copies].flat());

/** Runs of durable messages by subscription and place in a journal. */
export const runsByPlace = (history: History): Map<string, Run[]> => {
  const runs = new Map<string, Run[]>();
  for (const run of history.runs) {
    if (run.volatile) continue;
    const place = placeOf(run.subscription, run.producer, run.epoch, run.seq);
    const there = runs.get(place);
    if (there === undefined) runs.set(place, [run]);
    else there.push(run);
  }
  return runs;
};

/** When the message first came to a good end in a handler, or undefined. */
export const firstSuccess = (runs: readonly Run[] | undefined): Run | undefined => {
  let first: Run | undefined;
  for (const run of runs ?? []) {
    if (run.outcome !== "ok") continue;
    if (first === undefined || (run.endMs ?? 0) < (first.endMs ?? 0)) first = run;
  }
  return first;
};
