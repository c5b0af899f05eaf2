/** What a show can tell about a run that is under way. */
import type { Instance } from "./cluster.ts";

export type Progress = {
  readonly orders: number;
  readonly seed: number;
  readonly elapsedMs: number;
  readonly instances: readonly Instance[];
  /** Events seen so far, by subject. */
  readonly seen: ReadonlyMap<string, number>;
};

export type Show = {
  /** Called about ten times a second. */
  update(progress: Progress): void;
  /** Something worth a line: a kill, a restart, a warning of a service. */
  say(line: string): void;
  /** The run is over: the terminal is given back. */
  end(): void;
};

export const seenOf = ({ seen }: Progress, ...subjects: readonly string[]): number =>
  subjects.reduce((sum, subject) => sum + (seen.get(subject) ?? 0), 0);

export const eventsSeen = ({ seen }: Progress): number =>
  [...seen.values()].reduce((sum, count) => sum + count, 0);

/** Messages that some subscription has not settled, all nodes together. */
export const backlogOf = ({ instances }: Progress): number =>
  instances.reduce((sum, { status }) => sum + (status?.ledger.pending ?? 0), 0);

export const retriesOf = ({ instances }: Progress): number =>
  instances.reduce((sum, { status }) => sum + (status?.retries ?? 0), 0);
