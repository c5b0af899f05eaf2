/** `node.declared()`: what a linked peer listens to, and which versions of contracts it reads. */
import type { ContractKind, VersionRange } from "../contract/contract.ts";
import type { NodeRuntime } from "../runtime/node-runtime.ts";

export type Declared = {
  readonly kind: ContractKind;
  /** A subject, or, of events, a pattern. */
  readonly pattern: string;
  readonly group: string;
  /** Versions of the contract that its handler reads, both included; [0, 0]: any. */
  readonly accepts: VersionRange;
};

const KINDS = { events: "event", commands: "command", queries: "query" } as const;

/** Undefined: there is no link with it, or it has not said yet. */
export const declaredOf = ({ links }: NodeRuntime, nodeId: string): Declared[] | undefined => {
  const records = links.peers.get(nodeId)?.link?.declared.all;
  if (records === undefined) return undefined;
  const declared: Declared[] = [];
  for (const { role, pattern, group, versionMin, versionMax } of records) {
    if (pattern.startsWith("$")) continue; // queries of the nodes' own
    declared.push({ kind: KINDS[role], pattern, group, accepts: [versionMin, versionMax] });
  }
  return declared;
};
