/** What a simulated mesh of members goes through. Times are seconds and milliseconds of its own clock. */
import type { SwimPreset } from "../../src/core/swim/swim-times.ts";

export type Partition = {
  readonly fromS: number;
  readonly toS: number;
  /** Part of the nodes that is on the other side. */
  readonly share: number;
};

export type SimOptions = {
  readonly nodes: number;
  readonly seconds: number;
  readonly seed: number;
  readonly preset: SwimPreset;
  /** Part of the messages that vanish, each on its own. */
  readonly loss: number;
  /** A message takes 1 ms up to this. */
  readonly delayMs: number;
  /** Processes that are killed, evenly spread over the middle of the run. */
  readonly kills: number;
  /** Whether a killed process breaks its links, as one does whose host lives on. */
  readonly linksBreak: boolean;
  /** Nodes whose event loops are blocked for 80 % of the time. */
  readonly blocked: number;
  /** Mean length of such a block. */
  readonly blockMs: number;
  /** Whether blocked nodes have a heartbeat beside their event loop. */
  readonly heartbeats: boolean;
  readonly partition: Partition | undefined;
};

export const SIM_DEFAULTS: SimOptions = {
  nodes: 50,
  seconds: 60,
  seed: 1,
  preset: "default",
  loss: 0,
  delayMs: 5,
  kills: 0,
  linksBreak: false,
  blocked: 0,
  blockMs: 800,
  heartbeats: true,
  partition: undefined,
};
