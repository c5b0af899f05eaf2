/**
 * The heartbeat port: tells a process whose event loop is blocked from one that is gone.
 *
 * A heartbeat runs beside the event loop of its process. It answers for the node while the loop is blocked and
 * says for how long the loop has not turned; it falls silent with the process. A node works without one:
 * then what is heard on its links decides alone. Ages are in milliseconds of real time, the node's own.
 */
import type { Clock } from "./clock.ts";

/** The node it beats for. */
export type HeartbeatSelf = {
  readonly nodeId: string;
  /** Random bytes of this start of the node; both sides of a heartbeat prove that they know both. */
  readonly nonce: Uint8Array;
  /** Where the node listens: the heartbeat binds the same host, and the same port where it can. */
  readonly listen: { readonly host: string; readonly port: number };
};

export type HeartbeatPeer = {
  readonly nodeId: string;
  readonly nonce: Uint8Array;
  /** What the peer advertises. */
  readonly address: string;
};

export type HeartbeatContext = {
  readonly clock: Clock;
  /** Between two questions to a peer that is watched closely. */
  readonly intervalMs: number;
  readonly peersMax: number;
  /** Counts what went wrong, by name: "heartbeat.malformed". */
  count(name: string, times: number): void;
  /** It has ended by itself: nothing is heard any more, and nobody is answered. */
  failed(error: Error): void;
};

/** What was heard of a peer last. */
export type Pulse = {
  /** Age of the newest answer. */
  readonly silentMs: number;
  /** For how long the peer's event loop had not turned when it gave that answer. */
  readonly lagMs: number;
};

export interface Heartbeat {
  /** Resolves with the address to advertise. @throws Error when there can be none */
  start(self: HeartbeatSelf, context: HeartbeatContext): Promise<string>;
  /** Asks this life of the peer from now on; an earlier one of the same node id is watched no more. */
  watch(peer: HeartbeatPeer): void;
  unwatch(nodeId: string): void;
  /**
   * Closely, as from `watch` on: it is asked now and every interval. Otherwise, as long as this process's event loop
   * turns: every EASED_BEATS intervals.
   */
  attend(nodeId: string, closely: boolean): void;
  /** Undefined: never heard since it is watched. */
  pulse(nodeId: string): Pulse | undefined;
  /** When the newest question left that some peer answered, by the context's monotonic clock; -Infinity: none. */
  answeredSentMs(): number;
  /** Idempotent. */
  stop(): Promise<void>;
}
