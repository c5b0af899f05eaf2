import type { Life } from "../../core/session.ts";
import type { MeshError } from "../../errors.ts";
import type { Identity } from "../../wire/handshake.ts";
import type { Link } from "./link.ts";
import type { Peer } from "./peer.ts";

/** What the table tells the node's runtime. */
export interface LinkTableEvents {
  /** What this node says of itself. */
  identity(): Omit<Identity, "time">;
  /** The latest starts of this node before the present one, in order. */
  earlierLives(): readonly Life[];
  up(link: Link, peer: Peer): void;
  /** The link is gone. `restarted`: a new life of the peer is already known. */
  down(link: Link, peer: Peer, reason: MeshError): void;
  /** The peer's lease has run out, or it came back with a new epoch: what it ran is over. */
  dead(nodeId: string, state: "dead" | "left" | "restarted"): void;
  /** Its process is gone, and the lease that others may have given it still runs. */
  gone(nodeId: string): void;
  /** A peer has seen a life of this node that is none of its own. False: it is not believed. */
  jumpEpoch(above: number): boolean;
  /** The peer's folder was restored or copied: marks of its messages may be of others. Before `up`. */
  forget(nodeId: string): void;
  /** The peer of this link was met. */
  remember(link: Link): void;
}
