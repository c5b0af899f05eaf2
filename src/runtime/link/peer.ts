/** What this node knows of another one. */
import type { Timer } from "../../ports/clock.ts";
import type { Identity } from "../../wire/handshake.ts";
import type { Link } from "./link.ts";

/**
 * "stalled": its process lives and its event loop is blocked. "lost": its link is gone and its lease has not
 * run out. "left": it said goodbye.
 */
export type PeerState = "alive" | "stalled" | "lost" | "dead" | "left";

export type Peer = {
  readonly nodeId: string;
  service: string;
  epoch: number;
  nonce: Uint8Array;
  addresses: readonly string[];
  link: Link | undefined;
  state: PeerState;
  timer: Timer | undefined;
};

export const newPeer = (identity: Identity, link: Link): Peer => ({
  nodeId: identity.nodeId,
  service: identity.service,
  epoch: identity.epoch,
  nonce: identity.nonce,
  addresses: identity.addresses,
  link,
  state: "alive",
  timer: undefined,
});

/** Room for one more peer, if need be that of one that is gone. */
export const makeRoom = (peers: Map<string, Peer>, peersMax: number): boolean => {
  if (peers.size < peersMax) return true;
  for (const [nodeId, { state }] of peers) {
    if (state !== "dead" && state !== "left") continue;
    peers.delete(nodeId);
    return true;
  }
  return false;
};
