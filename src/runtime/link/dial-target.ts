/**
 * One thing to dial, and how long it is worth it.
 *
 * An address that a discovery found stays as long as the discovery says so; where somebody else answers there, it is
 * tried seldom, and the others of the target before it. One that is hearsay is put aside when
 * nobody could be linked with there, and for good when another node is; when all of them have been put
 * aside they are all tried again, more and more seldom.
 */

import type { Timer } from "../../ports/clock.ts";
import type { Random } from "../../ports/random.ts";
import { ADDRESSES_MAX, asReached } from "./better-addresses.ts";

const BACKOFF_MIN_MS = 50;
const BACKOFF_MAX_MS = 5_000;
/** Tries for a peer that its discovery has lost, or that was told and never linked: about half a minute. */
const LOST_ATTEMPTS_MAX = 12;
/** Between tries of one that no discovery finds, or only where somebody else is, past LOST_ATTEMPTS_MAX. */
const SELDOM_MS = 60_000;
/** Then it is given up: about a day. */
const SELDOM_ATTEMPTS_MAX = 2_000;
/** Tries that count when one that was tried seldom is told to be there: the next is within a second. */
const TOLD_AGAIN = 4;
const PATIENCE_DOUBLINGS = 3;
/** Whoever is there is somebody else. */
const ELSEWHERE: readonly string[] = ["WRONG_TARGET", "WRONG_MESH", "SELF"];

export type Hearsay = "told" | "known";

export type DialTarget = {
  readonly key: string;
  /** True when the key is the node id. */
  readonly named: boolean;
  nodeId: string;
  /** As a discovery found them. */
  addresses: readonly string[];
  attempts: number;
  timer: Timer | undefined;
  /** Times in a row that its connection was taken and its greeting not answered in time. */
  unanswered: number;
  dialing: boolean;
  dialingSinceMs: number;
  /** The address it was dialled at last, whatever its discovery says since. */
  through: string;
  /** Where the node says it is, when it was linked or when it sent this one on; or as others say. */
  learned: readonly string[];
  /** Of what others say, all that has not proved wrong. */
  said: readonly string[];
  /** Of `addresses`, those where another node answered. */
  elsewhere: readonly string[];
  /** It was sent on since it was linked last: what answers now will do. */
  insists: boolean;
  /** Its discovery does not see it any more. */
  lost: boolean;
  /** Of one that no discovery has found: another node told of it, or it was linked once. */
  hearsay: Hearsay | undefined;
};

export const newTarget = (
  key: string,
  nodeId: string,
  addresses: readonly string[],
  hearsay?: Hearsay,
): DialTarget => ({
  key,
  named: nodeId !== "",
  nodeId,
  addresses: hearsay === undefined ? addresses : [],
  attempts: 0,
  unanswered: 0,
  timer: undefined,
  dialing: false,
  dialingSinceMs: 0,
  through: "",
  learned: hearsay === undefined ? [] : addresses,
  said: hearsay === undefined ? [] : addresses,
  elsewhere: [],
  insists: false,
  lost: false,
  hearsay,
});

/** A discovery found it there. Whether that is news: then what was learned elsewhere is worth nothing. */
export const foundAt = (target: DialTarget, addresses: readonly string[]): boolean => {
  target.lost = false;
  target.hearsay = undefined;
  if (target.addresses.join() === addresses.join()) return false;
  target.addresses = addresses;
  target.learned = [];
  target.said = [];
  target.elsewhere = [];
  target.attempts = 0;
  return true;
};

/** Others say that it is there. Whether it is to be dialled sooner than it would be. */
export const toldAt = (target: DialTarget, addresses: readonly string[]): boolean => {
  if (target.hearsay === undefined) return false; // a discovery knows better
  const news = addresses.filter((one) => !target.said.includes(one));
  target.said = [...news, ...target.said].slice(0, ADDRESSES_MAX);
  if (news.length > 0) target.learned = target.said;
  if (target.attempts < LOST_ATTEMPTS_MAX) return false;
  target.attempts = TOLD_AGAIN;
  return true;
};

/** A session with it is up. */
export const linkedAt = (
  target: DialTarget,
  nodeId: string,
  addresses: readonly string[],
): void => {
  target.nodeId = nodeId;
  target.attempts = 0;
  target.unanswered = 0;
  target.dialing = false;
  target.insists = false;
  target.elsewhere = [];
  target.learned = asReached(addresses, target.through || (target.addresses[0] ?? ""));
  if (target.hearsay === undefined) return;
  target.hearsay = "known";
  target.said = target.learned;
};

/**
 * How many times `handshakeMs` its next greeting may take. Whoever answers late on a host without time must be waited
 * for in the end: a connection that is given up still stands in the way of the next one.
 */
export const patienceOf = ({ unanswered }: DialTarget): number =>
  2 ** Math.min(unanswered, PATIENCE_DOUBLINGS);

/**
 * Nobody was linked with there: unless a discovery said that address, the others are tried first.
 * @returns whether a discovery names a node there, and another one is
 */
export const doubt = (target: DialTarget, address: string, code: string): boolean => {
  const isElsewhere = ELSEWHERE.includes(code);
  if (target.addresses.includes(address)) {
    if (!target.named || !isElsewhere) return false;
    if (!target.elsewhere.includes(address)) target.elsewhere = [...target.elsewhere, address];
    return true;
  }
  target.insists = true;
  target.learned = target.learned.filter((one) => one !== address);
  if (isElsewhere) target.said = target.said.filter((one) => one !== address);
  if (target.learned.length === 0) target.learned = target.said;
  return false;
};

/**
 * Where to dial it now: what a discovery found, and what it said of itself, which is worth nothing when it is another
 * one that is looked for. Where somebody else answered it is tried again now and then, and where nothing else is known.
 */
export const placesToDial = (target: DialTarget): ReadonlySet<string> => {
  const all = new Set([...target.addresses, ...(target.nodeId === "" ? [] : target.learned)]);
  const others = [...all].filter((one) => !target.elsewhere.includes(one));
  const isTurn = target.attempts % LOST_ATTEMPTS_MAX === 0;
  return others.length === 0 || isTurn ? all : new Set(others);
};

export const isHopeless = ({
  lost,
  hearsay,
  addresses,
  learned,
  attempts,
}: DialTarget): boolean => {
  if (addresses.length === 0 && learned.length === 0) return true;
  if (lost || hearsay === "told") return attempts >= LOST_ATTEMPTS_MAX;
  return hearsay === "known" && attempts >= SELDOM_ATTEMPTS_MAX;
};

export const nextBackoffMs = (target: DialTarget, random: Random): number => {
  const { addresses, learned, elsewhere, hearsay, attempts } = target;
  const isNowhere = [...addresses, ...learned].every((one) => elsewhere.includes(one));
  const isSeldom = (hearsay !== undefined || isNowhere) && attempts >= LOST_ATTEMPTS_MAX;
  const maxMs = isSeldom ? SELDOM_MS : BACKOFF_MAX_MS;
  const capMs = Math.min(maxMs, BACKOFF_MIN_MS * 2 ** Math.min(target.attempts++, 11));
  return capMs * (0.5 + 0.5 * random.fraction());
};
