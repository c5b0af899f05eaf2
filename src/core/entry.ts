/** One message in a subscription's window at its producer, and the states it goes through. */

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
  /** When its retry falls due, by the cursor's clock; -1 when it waits for no time. */
  dueMs: number;
  /** The member that had it in flight when its session was lost, and gets it again; "" when nobody. */
  pinnedTo: string;
  /** Delivery number in the opening it is in flight in. */
  number: number;
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
  dueMs: -1,
  pinnedTo: "",
  number: 0,
});

/** Order by position. */
export const compareEntries = (a: Entry, b: Entry): number => a.epoch - b.epoch || a.seq - b.seq;
