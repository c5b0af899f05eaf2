/**
 * Whether there is room for one more subscription of a peer.
 *
 * Problem: the room is one for all, and a durable subscription stays when who declared it goes, so that one peer alone
 * could take what others need. Approach: beside the bound of all there is one of what a peer takes now, and one of what
 * was not known before it declared it, whoever takes it now.
 *
 * Bound: the ids that PEERS_MAX peers brought; the oldest peer is forgotten. What one brought in an earlier life of
 * this node counts no more.
 */
import type { Link } from "../link/link.ts";
import type { ProducerHost } from "./producer-host.ts";

const PEERS_MAX = 1_024;

export class SubscriptionRoom {
  readonly #producer: ProducerHost;
  readonly #brought = new Map<string, Set<string>>();

  constructor(producer: ProducerHost) {
    this.#producer = producer;
  }

  /** Which limit it would be above; undefined: there is room, and what is new counts as the peer's. */
  take(link: Link, index: number, id: string): string | undefined {
    const { table, env } = this.#producer;
    const { subscriptionsMax } = env.limits;
    const isNew = table.get(id) === undefined;
    if (isNew && table.size >= subscriptionsMax) {
      return `limits.subscriptionsMax ${subscriptionsMax} reached, of all nodes together`;
    }
    if (link.isLocal) return undefined;
    const { subscriptionsMax: ofPeer } = env.peerLimits;
    const taken = this.#producer.outletsOf(link)?.byIndex;
    const isFull = taken !== undefined && taken.size >= ofPeer && !taken.has(index);
    if (isFull || (isNew && !this.#brings(link.peer.nodeId, ofPeer, id))) {
      env.counters.count("peer.limited.subscriptions");
      return `peerLimits.subscriptionsMax ${ofPeer} of one peer reached`;
    }
    return undefined;
  }

  #brings(nodeId: string, idsMax: number, id: string): boolean {
    let ids = this.#brought.get(nodeId);
    if (ids === undefined) {
      const [oldest] = this.#brought.keys();
      if (this.#brought.size >= PEERS_MAX && oldest !== undefined) this.#brought.delete(oldest);
      ids = new Set();
      this.#brought.set(nodeId, ids);
    }
    const { table } = this.#producer;
    if (ids.size >= idsMax) for (const one of ids) if (!table.get(one)) ids.delete(one);
    if (ids.size >= idsMax) return false;
    ids.add(id);
    return true;
  }
}
