import type { MeshError } from "../../errors.ts";
import type { Identity } from "../../wire/handshake.ts";
import type { Link } from "./link.ts";
import type { Peer } from "./peer.ts";

/** What the table tells the node's runtime. */
export interface LinkTableEvents {
  /** What this node says of itself. */
  identity(): Omit<Identity, "time">;
  up(link: Link, peer: Peer): void;
  /** The link is gone. `restarted`: a new life of the peer is already known. */
  down(link: Link, peer: Peer, reason: MeshError): void;
  /** The peer's lease has run out, or it came back with a new epoch: what it ran is over. */
  dead(nodeId: string, state: "dead" | "left"): void;
  /** A peer has seen a higher epoch of this node, or another nonce of this one. */
  jumpEpoch(above: number): void;
  /** Remembers the highest epoch seen of a peer, on disk. */
  remember(nodeId: string, epoch: number, nonce: Uint8Array): void;
}
