/** The discovery port: ways to hear of peers. What it says is a hint; who a peer is, the handshake decides. */
import type { MeshError } from "../errors.ts";
import type { Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";
import type { Random } from "./random.ts";
import type { Security } from "./security.ts";

/** What a node says of itself. */
export type Announcement = {
  readonly mesh: string;
  readonly nodeId: string;
  readonly service: string;
  readonly epoch: number;
  /** Dialable addresses, best first: "zmq://127.0.0.1:41234". */
  readonly addresses: readonly string[];
  /** True when every listener is bound to loopback: multicast then stays on the loopback interface. */
  readonly loopbackOnly: boolean;
};

export type PeerHint = {
  /** Absent where only an address is known (static peers). */
  readonly nodeId?: string;
  readonly epoch?: number;
  readonly addresses: readonly string[];
  /** Name of the discovery that said so. */
  readonly source: string;
};

export type DiscoveryEvents = {
  /** A peer of the same mesh may be there. May repeat. Never the node itself where its id is known. */
  found(peer: PeerHint): void;
  /**
   * The peer said goodbye or its record ran out: its node id, or where it was found without one, its
   * address.
   */
  lost(peer: string): void;
  /** Something does not work (no multicast, no route). Reported, never thrown. */
  problem(error: MeshError): void;
};

export type DiscoveryContext = {
  readonly self: Announcement;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /**
   * Of a node with keys: what its mesh shares, 32 B each. The first is for what this node says, each is good for
   * what it hears; while the mesh changes it there are two, in another array.
   */
  readonly secrets?: () => readonly Uint8Array[];
  /** The node's keys, for a discovery that asks somebody; absent: it has none. */
  readonly security?: Security | undefined;
  count(name: string): void;
};

export interface Discovery {
  /** Short name for logs and peers(): "mdns", "static". */
  readonly name: string;
  /** Resolves quickly, whatever the network does: failures go to `events.problem`. */
  start(context: DiscoveryContext, events: DiscoveryEvents): Promise<void>;
  /** Says goodbye where the method has one. Idempotent. */
  stop(): Promise<void>;
}
