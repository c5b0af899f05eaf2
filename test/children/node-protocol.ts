/**
 * What a test says to a node in a process of its own, and hears from it: one JSON object a line.
 *
 * Commands run side by side; each is answered by a line with its id. Events come in between, written
 * before anything that follows them happens, so that what a killed process did is known.
 */
import type { NodeOptions } from "../../src/options/node-options.ts";
import type { SubscribeOptions } from "../../src/options/subscribe-options.ts";
import type { KnownFrame } from "../../src/wire/frames.ts";

/** What a handler does. The first entry that applies to a message and attempt holds; none: it returns. */
export type Behaviour = {
  readonly type:
    | "throw"
    | "dead"
    | "retry"
    /** Never returns. */
    | "hang"
    /** Returns after `ms`, whatever its signal says, and sends then. */
    | "late"
    /** Returns after `ms`. */
    | "slow"
    /** Kills its process before it returns. */
    | "kill"
    /** Stops its process where it is, as a long pause of the machine would. */
    | "freeze"
    /** Throws unless a file is at `path`, as a dependency that is up. */
    | "need"
    /** Keeps its event loop from turning for `ms`, and until a file is at `path`, as a long computation would. */
    | "block"
    /** Returns something that has no encoding. */
    | "garbage"
    /** Returns when its signal aborts. */
    | "obey";
  /** Only messages with these numbers. */
  readonly only?: readonly number[];
  /** Only attempts up to this one; default all. */
  readonly attempts?: number;
  readonly ms?: number;
  readonly path?: string;
};

export type Listen = {
  /** Names the subscription in events. */
  readonly name: string;
  readonly verb: "subscribe" | "handle" | "reply";
  readonly subject: string;
  readonly options?: Omit<SubscribeOptions, "signal">;
  readonly behaviour?: readonly Behaviour[];
  /** Sent through ctx for each message, with its number and key. */
  readonly forward?: readonly { readonly verb: "publish" | "send"; readonly subject: string }[];
  /** Accepts only numbers above zero. */
  readonly positive?: boolean;
  readonly contract?: Versions;
};

/** Of a contract. */
export type Versions = { readonly version: number; readonly accepts?: readonly [number, number] };

/** Ends the process with SIGKILL at the nth frame that matches. */
export type KillRule = {
  readonly direction: "in" | "out";
  readonly frame: KnownFrame["type"];
  /** Of settle: only frames in which some section has this. */
  readonly having?: "held" | "released" | "acked";
  /** From 1; default 1. */
  readonly nth?: number;
  /** Before or after the frame is passed on. */
  readonly when: "before" | "after";
};

export type ChildOptions = {
  readonly node: Pick<NodeOptions, "service"> & Omit<NodeOptions, "discovery" | "transports">;
  readonly peers?: readonly string[];
  readonly mdns?: boolean;
  /** Finds peers by this name at a name server. */
  readonly dns?: { readonly name: string; readonly port: number; readonly server: string };
  /** Asks these directories for peers. */
  readonly directories?: readonly string[];
  readonly kill?: KillRule;
  /** By scheme, in the order of listening; default ZeroMQ alone. */
  readonly transports?: readonly ("zmq" | "tcp" | "grpc" | "unix")[];
};

export type Say = {
  readonly subject: string;
  readonly data: unknown;
  readonly options?: Readonly<Record<string, unknown>>;
  readonly positive?: boolean;
  readonly contract?: Versions;
};

export type Command =
  | ({ readonly op: "create" } & ChildOptions)
  | ({ readonly op: "listen" } & Listen)
  | { readonly op: "unlisten"; readonly name: string }
  | { readonly op: "pause" | "resume"; readonly name: string }
  | ({ readonly op: "publish" | "send" | "emit" | "request" } & Say)
  /** Emits numbers from 0 until one is not taken, at most `count`. */
  | { readonly op: "flood"; readonly subject: string; readonly count: number }
  | { readonly op: "abort"; readonly call: number }
  /** Serves programs beside it; the answer is the address. */
  | { readonly op: "gateway"; readonly port?: number }
  /** Serves a directory of its mesh; the answer is the address. */
  | { readonly op: "directory"; readonly port?: number }
  | { readonly op: "connect"; readonly address: string }
  /** The listener of that transport closes, and what it accepted; or listens again on the same port. */
  | { readonly op: "close-listener" | "open-listener"; readonly scheme: string }
  /** Ends a durable subscription of events for good. */
  | { readonly op: "remove"; readonly group: string; readonly subject: string }
  | { readonly op: "dead-list"; readonly group?: string }
  | { readonly op: "dead-get" | "dead-replay" | "dead-discard"; readonly letter: string }
  | { readonly op: "info" | "ledger" | "counters" | "peers" | "health" | "stop" };

export type Said =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: FailedCall }
  | Happened;

export type FailedCall = {
  readonly name: string;
  readonly code: string;
  readonly message: string;
  readonly details: unknown;
};

export type Happened = {
  /**
   * "start" and "end": a handler began, and returned. "failed": what it did through ctx threw `code`.
   * "aborted": its signal did.
   */
  readonly event: "start" | "end" | "failed" | "aborted" | "status";
  readonly name: string;
  readonly n?: number;
  /** Of the text that came with it; -1: another text. */
  readonly textBytes?: number;
  readonly key?: string;
  readonly attempt?: number;
  readonly messageId?: string;
  readonly causationId?: string;
  readonly replayOf?: string;
  readonly producer?: string;
  /** Decimal. */
  readonly fence?: string;
  /** Wall milliseconds, with fractions: one clock for all processes of a machine. */
  readonly atMs?: number;
  readonly code?: string;
  /** Of "status": the change. */
  readonly change?: Readonly<Record<string, unknown>>;
};
