/**
 * When failed messages are tried again.
 *
 * An entry may end, or go on, before its time: what the heap holds of it then is dropped when it comes up,
 * or swept out once such leftovers outnumber the entries that wait. An entry waits for a time of its own iff
 * it is PARKED and `dueMs >= 0`.
 */
import { DueHeap } from "./due-heap.ts";
import { type Entry, PARKED } from "./entry.ts";

/** Leftovers that may stay beyond one for each entry that waits. */
const SLACK = 64;

export class RetryTimes {
  readonly #heap = new DueHeap<Entry>();

  get nextDueMs(): number | undefined {
    return this.#heap.nextDueMs;
  }

  /** The PARKED entry waits until `dueMs`; `parked` entries wait in all. */
  set(entry: Entry, dueMs: number, parked: number): void {
    entry.dueMs = dueMs;
    this.#heap.push(dueMs, entry);
    if (this.#heap.size <= 2 * parked + SLACK) return;
    this.#heap.retain((other, otherMs) => waits(other) && other.dueMs === otherMs);
  }

  /** Takes the earliest entry whose time has come; its `dueMs` is the caller's. */
  popDue(nowMs: number): Entry | undefined {
    for (;;) {
      const entry = this.#heap.popDue(nowMs);
      if (entry === undefined || (waits(entry) && entry.dueMs <= nowMs)) return entry;
    }
  }
}

const waits = (entry: Entry): boolean => entry.state === PARKED && entry.dueMs >= 0;
