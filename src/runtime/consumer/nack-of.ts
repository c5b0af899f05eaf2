/**
 * What a producer is told of a message that comes back: how, after how many attempts, and why each failed.
 *
 * Attempts that were tried again in place were never told of before, so their errors go along with the last.
 * Bounds: a reason has `ERROR_TEXT_MAX` characters, as an error's message has; errors are as many as a dead
 * letter keeps (`deadLetterErrorsMax`), with `TEXT_MAX` characters in all: the oldest are dropped.
 */
import type { Nack, NackError } from "../../wire/settle.ts";
import { ERROR_TEXT_MAX } from "./outcome.ts";

export type NackReason = {
  readonly outcome: Nack["outcome"];
  readonly delayMs: number;
  readonly reason: string;
  readonly errorName?: string;
  readonly errorMessage?: string;
};

/** An attempt that failed and is followed by another in place. `atMs` is monotonic. */
export type FailedAttempt = {
  readonly name: string;
  readonly message: string;
  readonly atMs: number;
};

/** A message that was tried, as far as its producer is told of it. */
type Tried = {
  readonly number: number;
  readonly attempts: number;
  readonly failed: readonly FailedAttempt[] | undefined;
};

const TEXT_MAX = 8_192;

export const nackOf = (job: Tried, how: NackReason, nowMs: number): Nack => ({
  number: job.number,
  attempts: job.attempts,
  errorName: "",
  errorMessage: "",
  ...how,
  reason: how.reason.slice(0, ERROR_TEXT_MAX),
  earlier:
    how.outcome === "return" ? [] : (job.failed ?? []).map((attempt) => told(attempt, nowMs)),
});

/** An attempt that is tried again in place: remembered with at most `max` errors in all. */
export const remember = (
  job: { failed: FailedAttempt[] | undefined },
  attempt: FailedAttempt,
  max: number,
): void => {
  job.failed ??= [];
  const { failed } = job;
  failed.push(attempt);
  let chars = failed.reduce((sum, one) => sum + lengthOf(one), 0);
  // The last attempt of all is told apart from these.
  while (failed.length > 0 && (failed.length > max - 1 || chars > TEXT_MAX)) {
    chars -= lengthOf(failed.shift() as FailedAttempt);
  }
};

/** Characters that a frame carries for this. */
export const textOf = ({ reason, errorName, errorMessage, earlier }: Nack): number => {
  const own = reason.length + errorName.length + errorMessage.length;
  return earlier.reduce((sum, one) => sum + lengthOf(one), own);
};

const told = ({ name, message, atMs }: FailedAttempt, nowMs: number): NackError => ({
  name,
  message,
  agoMs: Math.max(0, Math.round(nowMs - atMs)),
});

const lengthOf = ({ name, message }: { name: string; message: string }): number =>
  name.length + message.length;
