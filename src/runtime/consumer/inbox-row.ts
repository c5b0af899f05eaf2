/** The inbox of one producer and subscription, and its row in the journal. */
import { INBOX_LIMITS, Inbox } from "../../core/inbox.ts";
import type { Position } from "../../core/position.ts";
import type { Committer } from "../journal/committer.ts";

export class InboxRow {
  #inbox: Inbox;
  readonly #key: Uint8Array;
  readonly #committer: Committer;
  readonly #wallMs: () => number;
  #changed = false;
  /** Batches under way that hold a state of this row which is not yet durable. */
  #syncing = 0;

  constructor(
    key: Uint8Array,
    row: Uint8Array | undefined,
    committer: Committer,
    wallMs: () => number,
  ) {
    this.#key = key;
    this.#committer = committer;
    this.#wallMs = wallMs;
    this.#inbox =
      row === undefined ? new Inbox(INBOX_LIMITS) : Inbox.decode(row.subarray(8), INBOX_LIMITS);
  }

  get inbox(): Inbox {
    return this.#inbox;
  }

  /** Nothing of this producer was handled here, as far as is known from now on. */
  forget(): void {
    this.#inbox = new Inbox(INBOX_LIMITS);
    this.#changed = true;
    this.#committer.dirty(this);
  }

  /** Every mark made so far is on disk. */
  get isDurable(): boolean {
    return !this.#changed && this.#syncing === 0;
  }

  mark(epoch: number, from: number, to: number): void {
    this.inbox.mark(epoch, from, to);
    this.#changed = true;
  }

  heardFloor(floor: Position): void {
    this.inbox.heardFloor(floor);
  }

  /** Adds the row to the batch that gathers, if a mark is new. */
  flush(): void {
    if (!this.#changed) return;
    this.#changed = false;
    this.#syncing++;
    const marks = this.inbox.encode();
    const row = Buffer.allocUnsafe(8 + marks.length);
    row.writeDoubleBE(this.#wallMs(), 0); // when the producer was last served, for forgetting
    row.set(marks, 8);
    this.#committer.write("inbox", this.#key, row);
    this.#committer.onDurable((error) => {
      this.#syncing--;
      // Whoever flushed this row is flushed again by the next batch.
      if (error !== undefined) this.#changed = true;
    });
  }
}
