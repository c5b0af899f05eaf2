/** `node.health()`: what keeps a node, or messages that wait at it, from going on. */
import type { NodeRuntime } from "../runtime/node-runtime.ts";
import { shardReport } from "../runtime/ownership/shard-report.ts";
import type { SubscriptionState } from "../runtime/producer/subscription-state.ts";

export type Health = {
  readonly ready: boolean;
  /** Why the node is not ready, then what waits although it is. */
  readonly reasons: readonly string[];
};

export const healthOf = (runtime: NodeRuntime, isStopping: boolean): Health => {
  const reasons: string[] = [];
  if (isStopping) reasons.push("the node stops or has stopped");
  else if (!runtime.journal.accepting) reasons.push("the journal accepts nothing");
  const waiting: string[] = [];
  if (runtime.env.insecure) waiting.push("insecure: listens beyond loopback without keys");
  for (const state of runtime.producer.table.all()) {
    if (state.pausedFor !== undefined) reasons.push(`"${state.id}": ${state.pausedFor}`);
    waiting.push(...unreachable(state));
  }
  return { ready: reasons.length === 0, reasons: [...reasons, ...waiting] };
};

/** Holders that live, as far as is known, and that this node does not reach: it does not go around them. */
const unreachable = ({ id, tokens, ledger }: SubscriptionState): string[] => {
  if (tokens === undefined || ledger.pending === 0) return [];
  return shardReport(tokens)
    .holders.filter(({ reachable }) => !reachable)
    .map(({ nodeId, shards }) => `"${id}": ${shards} shards are held by ${nodeId}, out of reach`);
};
