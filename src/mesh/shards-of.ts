/** `node.shards()`: who holds the keys of a subscription, with the services' names. */
import type { AnyContract } from "../contract/contract.ts";
import type { NodeRuntime } from "../runtime/node-runtime.ts";
import { type ShardHolding, shardReport } from "../runtime/ownership/shard-report.ts";
import { subscriptionId } from "../runtime/subscription-id.ts";

export type ShardOwner = ShardHolding & {
  /** "" for a node that was not met in this life. */
  readonly service: string;
};

export type Shards = {
  readonly holders: readonly ShardOwner[];
  /** Shards that nobody holds: their messages wait. */
  readonly unowned: number;
};

/** Undefined: this node knows no such subscription, or its keys have no owners. */
export const shardsOf = (
  runtime: NodeRuntime,
  group: string,
  contract: AnyContract | string,
): Shards | undefined => {
  const pattern = typeof contract === "string" ? contract : contract.subject;
  const kinds = typeof contract === "string" ? ["events", "commands"] : [roleOf(contract)];
  for (const role of kinds as ("events" | "commands")[]) {
    const state = runtime.producer.table.get(subscriptionId({ role, group, pattern }));
    if (state?.tokens === undefined || state.definition.group !== group) continue;
    const { holders, unowned } = shardReport(state.tokens);
    const { peers } = runtime.links;
    const named = holders.map((holding) => ({
      ...holding,
      service: peers.get(holding.nodeId)?.service ?? "",
    }));
    return { holders: named, unowned };
  }
  return undefined;
};

const roleOf = ({ kind }: AnyContract): "events" | "commands" =>
  kind === "command" ? "commands" : "events";
