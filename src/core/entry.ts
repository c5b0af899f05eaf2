/**
 * One message in a subscription's window at its producer, the states it goes through, and how many are
 * in each.
 *
 * Invariant: the state of an entry that was counted changes in `EntryTally.move` only, so that the counts
 * are exact by construction.
 */

export const READY = 0; // may be sent as soon as its member has credit
export const IN_FLIGHT = 1; // sent in the current opening of a member
export const PARKED = 2; // waits for its retry time, or behind an earlier message of its key
export const STOPPED = 3; // dead letter that holds its key
export const SETTLED = 4; // ended; leaves the window when everything before it has

export type EntryState =
  | typeof READY
  | typeof IN_FLIGHT
  | typeof PARKED
  | typeof STOPPED
  | typeof SETTLED;

/** `dueMs` of an entry that waits for no time. */
export const NO_TIME = -1;
/** `dueMs` of a failed entry that waits for others of its key alone, and then goes before the rest. */
export const TIME_CAME = -2;

export type Entry = {
  readonly epoch: number;
  readonly seq: number;
  /** Positions directly before `seq` that do not concern the subscription. */
  readonly skip: number;
  /** Hash of the key, or -1 when the message has none. */
  readonly keyHash: number;
  /** Envelope bytes, the unit of credit. */
  readonly bytes: number;
  /** Wall milliseconds, or -1. */
  readonly expireAtMs: number;
  state: EntryState;
  /** Failed attempts so far. */
  attempts: number;
  /** Times a member died while it had this message in flight. */
  deaths: number;
  /** When its retry falls due, by the cursor's clock; NO_TIME, or TIME_CAME. */
  dueMs: number;
  /** The member that had it in flight when its session was lost, and gets it again; "" when nobody. */
  pinnedTo: string;
  /** Delivery number in the opening it is in flight in. */
  number: number;
  /** It was last sent with the word that lifts the stop of its key, and is sent again with it. */
  resume: boolean;
};

export const newEntry = (
  epoch: number,
  seq: number,
  skip: number,
  keyHash: number,
  bytes: number,
  expireAtMs: number,
): Entry => ({
  epoch,
  seq,
  skip,
  keyHash,
  bytes,
  expireAtMs,
  state: READY,
  attempts: 0,
  deaths: 0,
  dueMs: NO_TIME,
  pinnedTo: "",
  number: 0,
  resume: false,
});

/** Order by position. */
export const compareEntries = (a: Entry, b: Entry): number => a.epoch - b.epoch || a.seq - b.seq;

/** How many entries of a window are in which state. */
export class EntryTally {
  readonly #counts = new Int32Array(SETTLED + 1);

  count(state: EntryState): number {
    return this.#counts[state] as number;
  }

  /** Counts an entry for the first time, in the state it has. */
  add(entry: Entry): void {
    this.#counts[entry.state] = (this.#counts[entry.state] as number) + 1;
  }

  move(entry: Entry, state: EntryState): void {
    const counts = this.#counts;
    counts[entry.state] = (counts[entry.state] as number) - 1;
    counts[state] = (counts[state] as number) + 1;
    entry.state = state;
  }

  /** The entry left the window. */
  remove(entry: Entry): void {
    this.#counts[entry.state] = (this.#counts[entry.state] as number) - 1;
  }
}
