/**
 * When a peer counts as met: it has heard what is known of it here, and has a session.
 *
 * A peer that dialled has heard that with the answer to its greeting, so it is met when its first frame comes; one
 * that was dialled heard it before it answered.
 */
import type { KnownLives } from "./known-lives.ts";
import type { Link } from "./link.ts";
import type { LinkTableEvents } from "./link-table-events.ts";

export class Meetings {
  readonly #known: KnownLives;
  readonly #events: Pick<LinkTableEvents, "forget" | "remember">;
  /** Links whose peers have not answered the greeting. */
  readonly #unmet = new Set<Link>();

  constructor(known: KnownLives, events: Pick<LinkTableEvents, "forget" | "remember">) {
    this.#known = known;
    this.#events = events;
  }

  /** A session is up. */
  up(link: Link): void {
    const isAstray = this.#known.isAstray(link.peer);
    if (isAstray) this.#events.forget(link.peer.nodeId);
    if (isAstray || link.dialled) this.#met(link);
    else this.#unmet.add(link);
  }

  /** A frame came over it. */
  heard(link: Link): void {
    if (this.#unmet.size > 0 && this.#unmet.delete(link)) this.#met(link);
  }

  ended(link: Link): void {
    this.#unmet.delete(link);
  }

  #met(link: Link): void {
    this.#known.met(link.peer);
    this.#events.remember(link);
  }
}
