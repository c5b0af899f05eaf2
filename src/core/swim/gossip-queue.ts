/**
 * News on its way to everybody, a few claims with each message.
 *
 * Problem: each piece of news must reach all members in a few rounds, with a bounded number of bytes in a message
 * and of messages in all. Approach: one entry per member, its latest claim; those sent least go first; an
 * entry that was sent `spreadMult` x log10(n + 1) times has reached everybody with high probability and goes.
 *
 * Invariants: one entry a member; a later claim starts at zero sends; in `#levels[s]` are the entries sent s times.
 * Bound: `QUEUE_MAX` entries; past it one of those sent most goes, which the exchange of tables makes good.
 * Source: SWIM, section 4.1 (piggybacking, lambda log n).
 */
import type { Claim } from "./claim.ts";

export const QUEUE_MAX = 4_096;

type Level = Map<number, Claim>;

export class GossipQueue {
  readonly #spreadMult: number;
  readonly #levels: Level[] = [];
  readonly #levelOf = new Map<number, number>();

  constructor(spreadMult: number) {
    this.#spreadMult = spreadMult;
  }

  get size(): number {
    return this.#levelOf.size;
  }

  has(member: number): boolean {
    return this.#levelOf.has(member);
  }

  /** Sends of one entry in a mesh with so many live members. */
  sendsMax(live: number): number {
    return Math.max(1, Math.ceil(this.#spreadMult * Math.log10(live + 1)));
  }

  /** Replaces whatever was queued of that member. */
  put(member: number, claim: Claim): void {
    this.drop(member);
    if (this.size >= QUEUE_MAX) this.#dropMostSent();
    this.#place(member, claim, 0);
  }

  drop(member: number): void {
    const level = this.#levelOf.get(member);
    if (level === undefined) return;
    this.#levelOf.delete(member);
    this.#levels[level]?.delete(member);
  }

  /** At most so many claims for a message, least sent first; each counts as sent once more. */
  take(count: number, live: number): Claim[] {
    if (this.size === 0) return [];
    const taken: [member: number, claim: Claim, sends: number][] = [];
    for (let sends = 0; sends < this.#levels.length && taken.length < count; sends++) {
      for (const [member, claim] of this.#levels[sends] as Level) {
        if (taken.length >= count) break;
        taken.push([member, claim, sends]);
      }
    }
    const sendsMax = this.sendsMax(live);
    for (const [member, claim, sends] of taken) {
      this.drop(member);
      if (sends + 1 < sendsMax) this.#place(member, claim, sends + 1);
    }
    return taken.map(([, claim]) => claim);
  }

  #place(member: number, claim: Claim, sends: number): void {
    while (this.#levels.length <= sends) this.#levels.push(new Map());
    this.#levels[sends]?.set(member, claim);
    this.#levelOf.set(member, sends);
  }

  #dropMostSent(): void {
    for (let sends = this.#levels.length - 1; sends >= 0; sends--) {
      for (const member of (this.#levels[sends] as Level).keys()) {
        this.drop(member);
        return;
      }
    }
  }
}
