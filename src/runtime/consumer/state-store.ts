/**
 * `ctx.state`: a local key-value store per subscription, committed with the inbox mark.
 *
 * It exists only where messages cannot move to another member, so that what a handler reads is what the
 * handlers before it wrote. Bounds: keys as in journal/keys.ts, values up to `valueBytesMax`.
 */
import type { Committer } from "../journal/committer.ts";
import { compositeKey } from "../journal/keys.ts";
import { PendingRows, type RowReader } from "../journal/pending-rows.ts";
import type { StateWrite } from "./job.ts";

export class StateStore {
  readonly #rows: PendingRows;

  constructor(store: RowReader, committer: Committer) {
    this.#rows = new PendingRows("state", committer, store);
  }

  get(subscription: string, key: string): Uint8Array | undefined {
    return this.#rows.get(compositeKey(subscription, key));
  }

  /** Joins the batch that gathers. */
  apply(subscription: string, writes: readonly StateWrite[]): void {
    for (const { key, value } of writes) this.#rows.set(compositeKey(subscription, key), value);
  }
}
