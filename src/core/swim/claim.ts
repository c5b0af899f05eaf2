/**
 * A claim: what somebody says of a member's life, and which of two claims is the later one.
 *
 * Problem: claims come late, twice and by detours, and nodes that heard the same ones must end with the same
 * view. Approach: one total order. The life (`epoch`) counts first, then its `incarnation`, which the member
 * alone raises to refute; then `vouch`, which a witness raises who hears the process although its event loop
 * is blocked; then the state: alive, stalled, suspect, dead, left. The later claim holds.
 *
 * Invariants: merging is taking the maximum: commutative, associative, idempotent. A suspicion never
 * overrides a refutation of it, nor a witness; a death is overridden by both. Packed, a claim about a life is
 * one unsigned 32-bit word, whose order is the order of claims.
 * Source: Das, Gupta, Motivala, "SWIM", DSN 2002, section 4.2 (alive, suspect, confirm; incarnations); `vouch`
 * and "stalled" are ours.
 */

export const SWIM_STATES = ["alive", "stalled", "suspect", "dead", "left"] as const;
/** "stalled": the process answers, its event loop does not turn. */
export type SwimState = (typeof SWIM_STATES)[number];

export type Claim = {
  readonly id: string;
  /** The start of the member that is spoken of; from 1. */
  readonly epoch: number;
  readonly incarnation: number;
  readonly vouch: number;
  readonly state: SwimState;
  /** Of a suspicion: who could not reach the member. "" otherwise. */
  readonly accuser: string;
};

/** Refutations in one life; who has used them up cannot refute until it starts again. */
export const INCARNATION_MAX = 2 ** 22 - 1;
/** Times witnesses can stand up for one incarnation; then suspicions of it take their course. */
export const VOUCH_MAX = 2 ** 7 - 1;
export const EPOCH_MAX = 2 ** 32 - 1;
export const ID_CHARS_MAX = 64;

const INCARNATION_SHIFT = 10;
const VOUCH_SHIFT = 3;
const RANK_MASK = 7;

export const packWord = (incarnation: number, vouch: number, state: SwimState): number =>
  ((incarnation << INCARNATION_SHIFT) | (vouch << VOUCH_SHIFT) | SWIM_STATES.indexOf(state)) >>> 0;

export const incarnationOf = (word: number): number => word >>> INCARNATION_SHIFT;

export const vouchOf = (word: number): number => (word >>> VOUCH_SHIFT) & VOUCH_MAX;

export const stateOf = (word: number): SwimState => SWIM_STATES[word & RANK_MASK] as SwimState;

/** The same incarnation and vouch with another state. */
export const withState = (word: number, state: SwimState): number =>
  packWord(incarnationOf(word), vouchOf(word), state);

/** Whether a member in this state counts as one of the mesh. */
export const isLive = (state: SwimState): boolean => state !== "dead" && state !== "left";

/** Negative when `a` is the earlier claim about the same member, 0 when they say the same. */
export const compareClaims = (a: Claim, b: Claim): number =>
  a.epoch === b.epoch ? wordOf(a) - wordOf(b) : a.epoch - b.epoch;

export const wordOf = (claim: Claim): number =>
  packWord(claim.incarnation, claim.vouch, claim.state);

/** Whether every part is within its bounds. What a peer says may be anything. */
export const isSound = ({ id, epoch, incarnation, vouch, accuser }: Claim): boolean =>
  isWithin(id.length, 1, ID_CHARS_MAX) &&
  isWithin(epoch, 1, EPOCH_MAX) &&
  isWithin(incarnation, 0, INCARNATION_MAX) &&
  isWithin(vouch, 0, VOUCH_MAX) &&
  accuser.length <= ID_CHARS_MAX;

const isWithin = (value: number, min: number, max: number): boolean =>
  Number.isInteger(value) && value >= min && value <= max;
