/**
 * C7: a request ends, one way or the other, soon after its time-out; where the event loop of the process that
 * asks stands still, that is when it turns again.
 */
import type { History, Violation } from "../history.ts";

/** Pauses that nobody noted hold a process up, and its clock may be off. */
const GRACE_MS = 15_000;

export const checkAnswers = (history: History): Violation[] =>
  history.asked
    .filter(({ invokedMs, endedMs, timeoutMs, stoodMs = 0, cut }) => {
      if (cut) return false;
      return endedMs === undefined || endedMs - invokedMs - stoodMs > timeoutMs + GRACE_MS;
    })
    .map(({ invokedMs, endedMs }) => ({
      check: "C7",
      message: `a request of ${invokedMs} ended at ${endedMs}`,
    }));
