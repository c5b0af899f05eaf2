/**
 * `node.peers()`: what this node knows of the others.
 *
 * Of a peer with a link the link tells, of one whose lease runs the lease; of the rest, and of a life that this
 * node has not met, the mesh.
 */
import type { Claim, SwimState } from "../core/swim/claim.ts";
import type { Peer } from "../runtime/link/peer.ts";
import type { NodeRuntime } from "../runtime/node-runtime.ts";
import type { PeerInfo } from "./node-report.ts";

export const peersOf = ({ journal, links, membership }: NodeRuntime): PeerInfo[] => {
  const peers: PeerInfo[] = [];
  for (const peer of links.peers.values()) {
    const { nodeId, service, epoch, addresses, link } = peer;
    if (nodeId === journal.nodeId) continue;
    const claim = membership.claimOf(nodeId);
    const isOver = link?.isUp !== true && claim !== undefined && claim.epoch > epoch;
    peers.push({
      nodeId,
      service,
      epoch: isOver ? claim.epoch : epoch,
      state: isOver ? unlinked(claim.state) : stateOf(peer, claim),
      membership: claim?.state ?? "",
      addresses,
      transport: link?.scheme ?? "",
    });
  }
  for (const { id: nodeId, epoch, state } of membership.others()) {
    if (links.peers.has(nodeId)) continue;
    const where = { service: "", addresses: [], transport: "" };
    peers.push({ nodeId, epoch, state: unlinked(state), membership: state, ...where });
  }
  return peers;
};

const stateOf = ({ state, epoch }: Peer, claim: Claim | undefined): PeerInfo["state"] => {
  const isDoubted = claim?.epoch === epoch && isDoubt(claim.state);
  return state === "lost" && isDoubted ? "suspect" : state;
};

const unlinked = (state: SwimState): PeerInfo["state"] =>
  state === "alive" || state === "stalled" ? "known" : state;

const isDoubt = (state: SwimState): boolean => state === "suspect" || state === "dead";
