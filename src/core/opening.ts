/**
 * One subscription at one member during one session: the delivery numbers, what is in flight, the credit.
 *
 * Problem: a frame lost inside a transport, a late settle of an earlier session, or a consumer slower than
 * its producer must be seen and must not harm. Approach: in each session every message gets a number 1, 2,
 * 3... when it is sent; settles, gaps and credit speak of numbers; a settle is good only for a number that
 * is in flight here (DESIGN section 4, "Delivery numbers").
 *
 * Invariants: `base <= number of every unsettled entry < next`; an entry is in flight in at most one
 * opening; `next - 1 <= numberLimit` and `sentBytes <= bytesLimit`, but for one message when nothing is in
 * flight, so that a message larger than the whole budget still passes; while paused nothing is sent.
 */
import { compareEntries, type Entry } from "./entry.ts";
import { Ring } from "./ring.ts";

export class Opening {
  /** Entries by number from `base` on; an entry that was settled or taken back leaves undefined. */
  readonly #sent = new Ring<Entry | undefined>();
  #base = 1;
  #next = 1;
  #unsettled = 0;
  #sentBytes = 0;
  #numberLimit = 0;
  #bytesLimit = 0;
  #paused = false;
  /** Keys that the consumer has stopped until a delivery that says "resume". */
  readonly stoppedKeys = new Set<number>();

  /** No lower number is in flight. */
  get first(): number {
    return this.#base;
  }

  /** The number the next delivery gets. */
  get next(): number {
    return this.#next;
  }

  /** Messages in flight. */
  get unsettled(): number {
    return this.#unsettled;
  }

  /** How many more messages the credit allows. */
  get room(): number {
    return this.#paused ? 0 : this.#numberLimit - this.#next + 1;
  }

  /** The consumer takes nothing for now. */
  get paused(): boolean {
    return this.#paused;
  }

  grant(numberLimit: number, bytesLimit: number, paused = false): void {
    this.#paused = paused;
    if (numberLimit > this.#numberLimit) this.#numberLimit = numberLimit;
    if (bytesLimit > this.#bytesLimit) this.#bytesLimit = bytesLimit;
  }

  canSend(bytes: number): boolean {
    if (this.#paused) return false;
    if (this.#unsettled === 0) return this.#numberLimit > 0;
    return this.#next <= this.#numberLimit && this.#sentBytes + bytes <= this.#bytesLimit;
  }

  /** Gives the entry its number. Its state is the caller's. */
  sent(entry: Entry): number {
    entry.number = this.#next++;
    this.#sentBytes += entry.bytes;
    this.#unsettled++;
    this.#sent.push(entry);
    return entry.number;
  }

  /** The entry in flight under this number, or undefined: never sent, or settled before. */
  inFlight(number: number): Entry | undefined {
    if (number < this.#base || number >= this.#next) return undefined;
    return this.#sent.at(number - this.#base);
  }

  /** Takes the entry out of flight; undefined when the number is not in flight. */
  take(number: number): Entry | undefined {
    const entry = this.inFlight(number);
    if (entry === undefined) return undefined;
    this.#unsettled--;
    if (number === this.#base) {
      this.#sent.shift();
      this.#base++;
      while (this.#sent.length > 0 && this.#sent.peek() === undefined) {
        this.#sent.shift();
        this.#base++;
      }
    } else {
      this.#sent.set(number - this.#base, undefined);
    }
    return entry;
  }

  /** Everything in flight, by number. */
  unsettledEntries(): Entry[] {
    const entries: Entry[] = [];
    for (let at = 0; at < this.#sent.length; at++) {
      const entry = this.#sent.at(at);
      if (entry !== undefined) entries.push(entry);
    }
    return entries;
  }

  /** The first in flight of the entry's key that stands before it, sent before it, or undefined. */
  aheadOf(entry: Entry): Entry | undefined {
    for (let number = this.#base; number < entry.number; number++) {
      const other = this.#sent.at(number - this.#base);
      if (other?.keyHash === entry.keyHash && compareEntries(other, entry) < 0) return other;
    }
    return undefined;
  }

  /** The session is over: nothing is in flight here any more. Returns what was, by number. */
  end(): Entry[] {
    const entries = this.unsettledEntries();
    this.#sent.clear();
    this.#base = this.#next;
    this.#unsettled = 0;
    return entries;
  }

  /** Whether `from` is a number the consumer can ask to have again: in flight, or the next one. */
  canResend(from: number): boolean {
    return from >= this.#base && from <= this.#next;
  }
}
