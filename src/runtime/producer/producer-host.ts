/** What the parts of the producing side ask of the whole. */
import type { Entry } from "../../core/entry.ts";
import type { Environment } from "../environment.ts";
import type { Block } from "../journal/block.ts";
import type { Journal } from "../journal/journal.ts";
import type { Link } from "../link/link.ts";
import type { DeadLetterDesk } from "./dead-letter-desk.ts";
import type { LinkOutlets, Outlet } from "./outlet.ts";
import type { SubscriptionState } from "./subscription-state.ts";
import type { SubscriptionTable } from "./subscription-table.ts";

export interface ProducerHost {
  readonly env: Environment;
  readonly journal: Journal;
  readonly table: SubscriptionTable;
  readonly deadLetterDesk: DeadLetterDesk;
  readonly settling: {
    /** A member's process died with only these in flight, for the third time. */
    killed(state: SubscriptionState, entries: readonly Entry[]): void;
    readonly verdicts: {
      /** Tells a member that is back of its settles that were accepted and not yet answered. */
      remind(outlet: Outlet<SubscriptionState>): void;
    };
  };
  /** The running session with this node, if there is one. */
  linkTo(nodeId: string): Link | undefined;
  outletsOf(link: Link): LinkOutlets<SubscriptionState> | undefined;
  /** Sends what may be sent. */
  pump(state: SubscriptionState): void;
  /** One timer a subscription for the earliest retry. */
  armDue(state: SubscriptionState): void;
  readBlock(state: SubscriptionState, block: Block): void;
  /** The message ended without a consumer's settle. */
  expire(state: SubscriptionState, entry: Entry): void;
}
