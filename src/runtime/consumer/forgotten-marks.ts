/**
 * Marks of producers that are gone: forgotten `forgetMs` after the last one was made, when a node starts.
 *
 * Until then a producer that comes back is recognised; later its messages may be handled twice. Subscriptions
 * expire messages after seven days, so a shorter absence than that never meets forgotten marks.
 */
import type { Committer } from "../journal/committer.ts";
import type { RowReader } from "../journal/pending-rows.ts";

const SCAN_MAX = 1_024;

/** Removes the rows with the batch that gathers; returns how many. */
export const forgetMarks = (
  reader: RowReader,
  committer: Committer,
  nowMs: number,
  forgetMs: number,
): number => {
  let forgotten = 0;
  let from = Uint8Array.of(0);
  for (;;) {
    const rows = reader.scan("inbox", { from, limit: SCAN_MAX });
    for (const { key, value } of rows) {
      const row = Buffer.from(value.buffer, value.byteOffset, value.length);
      if (row.length < 8 || nowMs - row.readDoubleBE(0) <= forgetMs) continue;
      committer.write("inbox", key, undefined);
      forgotten++;
    }
    const last = rows.at(-1);
    if (last === undefined || rows.length < SCAN_MAX) return forgotten;
    from = new Uint8Array(last.key.length + 1);
    from.set(last.key);
  }
};
