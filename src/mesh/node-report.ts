/** What a node tells of itself and of the others. */
import type { LedgerCounts } from "../core/ledger.ts";
import type { PeerState } from "../runtime/link/peer.ts";

export type PeerInfo = {
  readonly nodeId: string;
  readonly service: string;
  readonly epoch: number;
  /**
   * "lost": its link broke and its lease has not run out. "stalled": its process lives, its event loop is
   * blocked.
   */
  readonly state: PeerState;
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
