/** What the tokens of a subscription, this node's part in them, and the node ask of one another. */
import type { Environment } from "../environment.ts";
import type { Committer } from "../journal/committer.ts";
import type { RowReader } from "../journal/pending-rows.ts";
import type { Link } from "../link/link.ts";

export type TokensHost = {
  readonly env: Environment;
  readonly committer: Committer;
  readonly store: RowReader;
  readonly selfId: string;
  /** Sessions with other nodes. */
  links(): Iterable<Link>;
  linkWith(nodeId: string): Link | undefined;
  /** Since when another node is linked. */
  readonly metSinceMs: number | undefined;
  leaseValid(nowMs: number): boolean;
};

/** This node as a member of the subscription. */
export interface OwnPart {
  /** Does what is to be done now; returns when to ask again. */
  decide(): number;
  /** Registers were overridden by a peer's word. Returns the shards that this node takes again. */
  overridden(shards: readonly number[]): number[];
  /** Somebody answered a heartbeat, or nobody else lives. */
  leaseHeard(): void;
  /** Before the settles of this turn leave. */
  turn(link: Link): void;
  linkDown(link: Link): void;
  /** Everything that may move does. `done` once nothing is left that moves. */
  leave(done: () => void): void;
  /** Nothing more is decided. */
  stopped(): void;
}
