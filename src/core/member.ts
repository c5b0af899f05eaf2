/**
 * An instance that declared a subscription, as the subscription's producer keeps it.
 *
 * A message is *with* a member when it is in flight there, or was when its session was lost: then it is
 * pinned to the member, which may still run it, until that is back, dead or given up.
 */
import { type Entry, READY } from "./entry.ts";
import type { Opening } from "./opening.ts";
import { Ring } from "./ring.ts";

export type Member = {
  readonly id: string;
  readonly hash: number;
  weight: number;
  /** Present while a session with it is up, and until it is back or given up after that. */
  opening: Opening | undefined;
  /** The session was lost and the member may come back: what it has stays with it. */
  lost: boolean;
  /** Takes nothing new; what is in flight is still settled. */
  draining: boolean;
  /** Its death was counted; a new session is a new life. */
  mourned: boolean;
  /** Placed here, not sent yet. */
  readonly queue: Ring<Entry>;
};

export const newMember = (id: string, hash: number, weight: number): Member => ({
  id,
  hash,
  weight,
  opening: undefined,
  lost: false,
  draining: false,
  mourned: false,
  queue: new Ring<Entry>(),
});

/** Deaths in flight after which a message goes alone, so that one that kills its process is found. */
const DEATHS_BEFORE_ALONE = 2;

/** What is with the member: in flight, or pinned and not sent again yet. */
export const entriesWith = (member: Member): Entry[] => {
  const entries = member.opening?.unsettledEntries() ?? [];
  for (let at = 0; at < member.queue.length; at++) {
    const entry = member.queue.at(at) as Entry;
    if (entry.state === READY && entry.pinnedTo !== "") entries.push(entry);
  }
  return entries;
};

/**
 * The member's process died: what was with it is suspect, once per life.
 * @returns the message that was alone there when a process died of it for the third time
 */
export const mourn = (member: Member): Entry[] => {
  if (member.mourned) return [];
  member.mourned = true;
  const entries = entriesWith(member);
  for (const entry of entries) entry.deaths++;
  return entries.length === 1 ? entries.filter(({ deaths }) => deaths > DEATHS_BEFORE_ALONE) : [];
};

/** Whether the entry may be sent beside what is in flight: a suspect goes alone, and nothing beside it. */
export const mayGoBeside = (opening: Opening, entry: Entry): boolean => {
  if (opening.unsettled === 0) return true;
  if (entry.deaths >= DEATHS_BEFORE_ALONE) return false;
  if (opening.unsettled > 1) return true;
  const only = opening.inFlight(opening.next - 1); // a suspect that went alone was sent last
  return only === undefined || only.deaths < DEATHS_BEFORE_ALONE;
};
