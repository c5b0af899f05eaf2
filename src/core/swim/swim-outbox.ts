/**
 * What a node has to do and say, gathered until the call ends.
 *
 * Every message brings news along, least sent first; to a member that is not alive it brings first of all what
 * is said of it, so that a suspect hears of it before anybody else needs to (Lifeguard's buddy system).
 *
 * Bound: a message has at most `NEWS_MAX` + 1 claims, or rows.
 * Source: SWIM, section 4.1; Lifeguard, section IV-C.
 */
import type { Beliefs } from "./beliefs.ts";
import type { SwimState } from "./claim.ts";
import type { MemberNames } from "./member-names.ts";
import { type SwimKind, type SwimMessage, swimMessage } from "./swim-message.ts";

/** Claims that travel with a message. */
export const NEWS_MAX = 32;

export type SwimEffect =
  | { readonly type: "send"; readonly to: string; readonly message: SwimMessage }
  /** Another state of another member. */
  | { readonly type: "state"; readonly id: string; readonly state: SwimState }
  | { readonly type: "forgotten"; readonly id: string }
  /** A later life of this node is known, and in which state. */
  | { readonly type: "outlived"; readonly epoch: number; readonly state: SwimState };

export class SwimOutbox {
  readonly #names: MemberNames;
  readonly #beliefs: Beliefs;
  #effects: SwimEffect[] = [];

  constructor(names: MemberNames, beliefs: Beliefs) {
    this.#names = names;
    this.#beliefs = beliefs;
  }

  /** What has gathered since the last time. */
  take(): SwimEffect[] {
    const effects = this.#effects;
    if (effects.length > 0) this.#effects = [];
    return effects;
  }

  push(effect: SwimEffect): void {
    this.#effects.push(effect);
  }

  send(kind: SwimKind, member: number, parts: Partial<SwimMessage> = {}): void {
    const { table } = this.#beliefs;
    const to = this.#names.id(member);
    const news = this.#news();
    const isTold = table.state(member) !== "alive" && !news.some(({ id }) => id === to);
    const claims = isTold ? [table.claim(member, this.#names.id(this.#beliefs.me)), ...news] : news;
    if (kind === "news" && claims.length === 0) return;
    this.#effects.push({ type: "send", to, message: swimMessage(kind, parts, claims) });
  }

  /** To somebody who may not be known. */
  reply(kind: SwimKind, to: string, parts: Partial<SwimMessage>): void {
    const member = this.#beliefs.find(to);
    if (member >= 0) this.send(kind, member, parts);
    else this.sendRows(to, swimMessage(kind, parts, this.#news()));
  }

  /** A message whose claims are chosen already. */
  sendRows(to: string, message: SwimMessage): void {
    this.#effects.push({ type: "send", to, message });
  }

  #news(): SwimMessage["claims"] {
    return this.#beliefs.queue.take(NEWS_MAX, this.#beliefs.table.live);
  }
}
