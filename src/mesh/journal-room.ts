/** Room in the journal for a message of a caller: at once, after others, or not at all. */
import { MeshError } from "../errors.ts";
import type { Journal } from "../runtime/journal/journal.ts";

/**
 * Resolves when there is room for so many bytes; the caller should append before it does anything else. Rejects with
 * MeshError JOURNAL_FULL (`whenFull` is "reject", or too many wait), DISK_FULL, OUTCOME_UNKNOWN, STOPPED, or the
 * signal's reason.
 */
export const roomFor = (
  journal: Journal,
  bytes: number,
  whenFull: "wait" | "reject",
  signal: AbortSignal | undefined,
): Promise<void> => {
  if (journal.hasRoom(bytes)) return Promise.resolve();
  if (whenFull === "reject" && journal.accepting) {
    const message = `the journal is full: ${journal.logBytes} B, and whenFull is "reject"`;
    return Promise.reject(new MeshError("JOURNAL_FULL", message));
  }
  return new Promise((resolve, reject) => {
    const waiter = journal.whenRoom(bytes, (error) => {
      signal?.removeEventListener("abort", abort);
      if (error === undefined) resolve();
      else reject(error);
    });
    const abort = (): void => {
      journal.cancelRoom(waiter);
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", abort, { once: true });
  });
};
