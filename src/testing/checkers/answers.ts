/** C7: a request ends, one way or the other, soon after its time-out. */
import type { History, Violation } from "../history.ts";

/** Pauses hold a process up, and its clock may be off. */
const GRACE_MS = 15_000;

export const checkAnswers = (history: History): Violation[] =>
  history.asked
    .filter(({ invokedMs, endedMs, timeoutMs, cut }) => {
      if (cut) return false;
      return endedMs === undefined || endedMs - invokedMs > timeoutMs + GRACE_MS;
    })
    .map(({ invokedMs, endedMs }) => ({
      check: "C7",
      message: `a request of ${invokedMs} ended at ${endedMs}`,
    }));
