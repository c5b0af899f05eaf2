/**
 * Where a message stands in its producer's journal.
 *
 * Problem: cursors, inboxes and receipts must name a message so that names never repeat, not even
 * after a restart that lost the tail of a sequence. Approach: a pair (epoch, seq); the epoch grows
 * with every start of the node and is stored before anything is accepted, the sequence counts from
 * 1 inside it.
 *
 * Invariants: total order, epoch before seq; `epoch` is an unsigned 32-bit integer and `seq` an
 * integer in 0..2^53-1, so that subtraction of either is exact; ZERO stands before every message.
 * Source: DESIGN section 1, "journal, position".
 */

export type Position = { readonly epoch: number; readonly seq: number };

/** Before every message of every epoch. */
export const ZERO: Position = Object.freeze({ epoch: 0, seq: 0 });

export const EPOCH_MAX = 0xffff_ffff;
export const SEQ_MAX = Number.MAX_SAFE_INTEGER;

/** Negative when `a` stands before `b`, 0 when they are the same, positive otherwise. */
export const comparePositions = (a: Position, b: Position): number =>
  a.epoch === b.epoch ? a.seq - b.seq : a.epoch - b.epoch;

/** "<epoch>:<seq>", both decimal. */
export const formatPosition = (position: Position): string => `${position.epoch}:${position.seq}`;

const SHAPE = /^(0|[1-9]\d{0,9}):(0|[1-9]\d{0,15})$/;

/** The inverse of `formatPosition`; undefined for any other text, also for one out of range. */
export const parsePosition = (text: string): Position | undefined => {
  const match = SHAPE.exec(text);
  if (match === null) return undefined;
  const epoch = Number(match[1]);
  const seq = Number(match[2]);
  return epoch <= EPOCH_MAX && seq <= SEQ_MAX ? { epoch, seq } : undefined;
};
