/**
 * At a node with keys: links of peers that came, and have yet to prove who they are. Of too many the oldest is cut.
 *
 * Bounds: those of PendingPeers. Connections of a ZeroMQ listener count as of one address: libzmq does not say where a
 * peer is.
 */
import { PendingPeers } from "../../core/pending-peers.ts";
import type { Environment } from "../environment.ts";
import type { Link } from "./link.ts";

export class Strangers {
  readonly #pending: PendingPeers<Link> | undefined;

  constructor({ access, counters }: Environment) {
    if (access === undefined) return;
    this.#pending = new PendingPeers<Link>((link) => {
      counters.count("link.handshakesCut");
      link.close("TOO_MANY", "others came, and this one had not said who it is");
    });
  }

  came(link: Link): void {
    if (link.dialled) return;
    const from = link.address.slice(0, link.address.lastIndexOf(":"));
    this.#pending?.add(link, from, link);
  }

  /** It is known, or gone. */
  done(link: Link): void {
    this.#pending?.done(link);
  }
}
