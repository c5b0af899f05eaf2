/** What a simulated network does to frames on their way, and what a connection asks of it. */
import type { VirtualTime } from "./virtual-time.ts";

/** What holds from one host to another. */
export type Path = {
  delayMinMs: number;
  delayMeanMs: number;
  /** Probability that a frame is lost and its connection breaks. */
  loss: number;
  /** Probability that a fragile frame is lost unnoticed. */
  silentLoss: number;
  /** Probability that a fragile frame arrives twice. */
  duplicate: number;
  /** Probability that a fragile frame is overtaken by later ones. */
  reorder: number;
  /** Nothing passes while this is above 0: partitions and clogs count it up and down. */
  blocked: number;
};

export type NetworkHooks = {
  /** Whether a frame may be lost, doubled or overtaken without its connection breaking. */
  readonly fragile: (frame: Uint8Array) => boolean;
  /** Hears of every fault that happened, by name. */
  readonly fault: (name: string) => void;
  /** Hears of every frame that arrives. */
  readonly arrived: (from: string, to: string, frame: Uint8Array) => void;
};

/** The network as its connections (`Side`) see it. */
export interface Carrier<Side> {
  readonly time: VirtualTime;
  readonly hooks: NetworkHooks;
  path(from: string, to: string): Path;
  /** Milliseconds the next parcel takes. */
  delay(from: string, to: string): number;
  chance(probability: number): boolean;
  isUp(host: string): boolean;
  /** The other side hears that the connection is gone. */
  sendReset(side: Side): void;
  forget(side: Side): void;
}
