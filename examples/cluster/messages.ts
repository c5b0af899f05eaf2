/** What the main process and its service processes tell each other over Node's own channel. */
import type { Effect } from "./check-history.ts";

/** A kind of service: one file in services/. */
export type Role = "orders" | "inventory" | "payment" | "shipping" | "notification" | "recorder";

/** All that a service process is told when it starts. */
export type InstanceSpec = {
  readonly role: Role;
  /** "inventory-2" */
  readonly name: string;
  readonly mesh: string;
  readonly dataDir: string;
  /** A file to which each start of a handler is added: it outlives a kill. */
  readonly startsFile: string;
  readonly orders: number;
  readonly seed: number;
  /** 0: as fast as they are accepted. */
  readonly ordersPerSecond: number;
};

export type ToService =
  | { readonly type: "go" } // everybody listens: place orders
  | { readonly type: "stop" };

/** Sums over the subscriptions of one node, from its loss ledger. */
export type LedgerSums = {
  readonly accepted: number;
  readonly acked: number;
  readonly dead: number;
  readonly expired: number;
  readonly abandoned: number;
  readonly damaged: number;
  readonly pending: number;
};

export type InstanceStatus = {
  readonly ledger: LedgerSums;
  /** Messages that wait, by subscription; those with none are left out. */
  readonly waiting: Readonly<Record<string, number>>;
  /** Linked peers. */
  readonly peers: number;
  /** Failed attempts that were tried again. */
  readonly retries: number;
  /** Deliveries that had been handled before. */
  readonly redeliveries: number;
};

export type FromService =
  | { readonly type: "ready" }
  | { readonly type: "status"; readonly status: InstanceStatus }
  | { readonly type: "effects"; readonly effects: readonly Effect[] }
  | { readonly type: "stopped"; readonly status: InstanceStatus };
