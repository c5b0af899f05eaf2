/** What the processes of a chaos run are started with. */
export type ProcessSpec = {
  readonly role: "source" | "worker" | "witness";
  readonly name: string;
  readonly life: number;
  readonly mesh: string;
  readonly dataDir: string;
  /** The fenced store's Unix socket. */
  readonly storePath: string;
  /** Messages a second that a source says. */
  readonly perSecond: number;
  readonly keys: number;
  readonly seed: number;
  /** The host it runs on; without one all is on this machine's loopback. */
  readonly place?: Place;
};

export type Place = {
  /** A command that starts another one on that host. */
  readonly launcher: readonly string[];
  /** Of ZeroMQ; that of TCP is the next one. 0: free ones. */
  readonly port: number;
  /** Peers that it is told of, beside those that it finds. */
  readonly seeds: readonly string[];
};

export const EVENT = "work.item";
export const COMMAND = "work.order";
export const EFFECT = "fx.done";

/** Where a process writes to have the power of its disk cut: the pipe of a helper that waits there. */
export const CUT_FD = 3;

/** Subscriptions that handlers run for, and whether they send something through ctx. */
export const SUBSCRIPTIONS = {
  worker: { id: `event worker ${EVENT}`, sends: true },
  tally: { id: `event tally ${EVENT}`, sends: false },
  order: { id: `command ${COMMAND}`, sends: true },
} as const;
