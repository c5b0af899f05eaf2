/**
 * The stretch of a journal between what is settled and what was read, for one subscription.
 *
 * Invariants: positions strictly increase; the first entry is unsettled; everything at or below `floor` is
 * settled or does not concern the subscription, and no entry stands there. The floor is directly before the first
 * entry, or where the journal was read up to: what stands before it and concerns others must not keep the journal
 * from being trimmed.
 */
import { type Entry, type EntryTally, SETTLED } from "./entry.ts";
import type { Position } from "./position.ts";
import { Ring } from "./ring.ts";

export class EntryWindow {
  readonly #entries = new Ring<Entry>();
  readonly #tally: EntryTally;
  #scanned: Position;

  constructor(start: Position, tally: EntryTally) {
    this.#scanned = start;
    this.#tally = tally;
  }

  get floor(): Position {
    const first = this.#entries.peek();
    return first === undefined ? this.#scanned : { epoch: first.epoch, seq: first.seq - 1 };
  }

  get scanned(): Position {
    return this.#scanned;
  }

  /** Unsettled entries and settled ones behind them. */
  get length(): number {
    return this.#entries.length;
  }

  /** Everything before it was read. */
  push(entry: Entry): void {
    this.#entries.push(entry);
    this.#tally.add(entry);
  }

  /** The journal was read up to here; nothing more comes at or below. */
  read(position: Position): void {
    this.#scanned = position;
  }

  /** Lets go of the settled entries at the front. */
  advance(): void {
    for (let first = this.#entries.peek(); first?.state === SETTLED; first = this.#entries.peek()) {
      this.#entries.shift();
      this.#tally.remove(first);
    }
  }

  find(epoch: number, seq: number): Entry | undefined {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const entry = this.#entries.at(middle) as Entry;
      if (entry.epoch < epoch || (entry.epoch === epoch && entry.seq < seq)) low = middle + 1;
      else high = middle;
    }
    const entry = this.#entries.at(low);
    const found = entry?.epoch === epoch && entry.seq === seq && entry.state !== SETTLED;
    return found ? entry : undefined;
  }

  /** In order of position; an array, since a generator's steps cost more than its elements. */
  unsettled(): Entry[] {
    const found: Entry[] = [];
    for (let at = 0; at < this.#entries.length; at++) {
      const entry = this.#entries.at(at) as Entry;
      if (entry.state !== SETTLED) found.push(entry);
    }
    return found;
  }
}
