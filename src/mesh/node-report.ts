/** What a node tells of itself and of the others. */
import type { LedgerCounts } from "../core/ledger.ts";
import type { SwimState } from "../core/swim/claim.ts";
import type { PeerState } from "../runtime/link/peer.ts";

export type PeerInfo = {
  readonly nodeId: string;
  readonly service: string;
  readonly epoch: number;
  /**
   * "alive" and "stalled" have a link; the event loop of a stalled one is blocked. "lost": its link broke and its
   * lease has not run out. "suspect": so too, or never linked here, and others cannot reach it either. "known":
   * others say that it lives, there is no link with it. "dead": its lease has run out, or it was never linked here
   * and the mesh says so. "left": it said goodbye.
   */
  readonly state: PeerState | "suspect" | "known";
  /** What the mesh says of it, whatever this node sees itself; "": nothing, as of an older version. */
  readonly membership: SwimState | "";
  readonly addresses: readonly string[];
  /** Scheme of the transport it is linked through: "tcp"; "" without a link. */
  readonly transport: string;
};

export type Ledgers = Readonly<Record<string, LedgerCounts & { readonly pending: number }>>;

/** What is left when a node stops. */
export type StopReport = {
  /** Messages accepted here that some subscription has not settled. They wait in the journal. */
  readonly pending: number;
  /** Events accepted here that no subscription was known for. */
  readonly unrouted: number;
  readonly ledger: Ledgers;
};
