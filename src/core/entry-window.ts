/**
 * The stretch of a journal between what is settled and what was read, for one subscription.
 *
 * Invariants: positions strictly increase; the first entry is unsettled; everything at or below `floor` is
 * settled or does not concern the subscription, and no entry stands there.
 */
import { type Entry, type EntryTally, SETTLED } from "./entry.ts";
import type { Position } from "./position.ts";
import { Ring } from "./ring.ts";

export class EntryWindow {
  readonly #entries = new Ring<Entry>();
  readonly #tally: EntryTally;
  #floor: Position;
  #scanned: Position;

  constructor(start: Position, tally: EntryTally) {
    this.#floor = start;
    this.#scanned = start;
    this.#tally = tally;
  }

  get floor(): Position {
    return this.#floor;
  }

  get scanned(): Position {
    return this.#scanned;
  }

  /** Unsettled entries and settled ones behind them. */
  get length(): number {
    return this.#entries.length;
  }

  push(entry: Entry): void {
    this.#entries.push(entry);
    this.#tally.add(entry);
  }

  /** The journal was read up to here; nothing more comes at or below. */
  read(position: Position): void {
    this.#scanned = position;
    if (this.#entries.length === 0) this.#floor = position;
  }

  /** Lets go of the settled entries at the front. */
  advance(): void {
    let last: Entry | undefined;
    for (let entry = this.#entries.peek(); entry !== undefined; entry = this.#entries.peek()) {
      if (entry.state !== SETTLED) break;
      last = entry;
      this.#entries.shift();
      this.#tally.remove(entry);
    }
    if (last === undefined) return;
    if (this.#entries.length === 0) this.#floor = this.#scanned;
    else this.#floor = { epoch: last.epoch, seq: last.seq };
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

  *unsettled(): IterableIterator<Entry> {
    for (let at = 0; at < this.#entries.length; at++) {
      const entry = this.#entries.at(at) as Entry;
      if (entry.state !== SETTLED) yield entry;
    }
  }
}
