/**
 * Marks of a producer whose folder was restored or copied: their rows go, also those of subscriptions that
 * this life has not declared yet.
 *
 * Invariant: a row is read through here, so that one that is to go is not read before it has.
 */
import type { Committer } from "../journal/committer.ts";
import { compositeKey, prefixEnd } from "../journal/keys.ts";
import { PendingRows, type RowReader } from "../journal/pending-rows.ts";

const SCAN_MAX = 1_024;

export class ForgottenRows {
  readonly #store: RowReader;
  readonly #rows: PendingRows;

  constructor(store: RowReader, committer: Committer) {
    this.#store = store;
    this.#rows = new PendingRows("inbox", committer, store);
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#rows.get(key);
  }

  forget(producer: string): void {
    const prefix = compositeKey(producer);
    const to = prefixEnd(prefix);
    const bounds = to === undefined ? {} : { to };
    let from: Uint8Array = prefix;
    for (;;) {
      const rows = this.#store.scan("inbox", { from, ...bounds, limit: SCAN_MAX });
      for (const { key } of rows) this.#rows.set(key, undefined);
      const last = rows.at(-1);
      if (last === undefined || rows.length < SCAN_MAX) return;
      from = Buffer.concat([last.key, Uint8Array.of(0)]);
    }
  }
}
