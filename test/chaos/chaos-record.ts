/**
 * The lines of a chaos history: what each process says it did, and what was done to it.
 *
 * A process writes a line before anything that follows from it can happen, to a pipe whose other end never
 * dies; so what a killed process did is known up to its last whole line. `atMs` is the machine's monotonic
 * clock, which is the same for all its processes.
 */
import type { Ledgers } from "meshbus";

/** What a node's process tells. */
export type Told =
  /** Its node starts. */
  | { readonly e: "begin"; readonly atMs: number }
  /** Its node has, or no longer has, a link with that node. */
  | { readonly e: "peer"; readonly atMs: number; readonly peer: string; readonly linked: boolean }
  | { readonly e: "ready"; readonly atMs: number; readonly node: string }
  | {
      readonly e: "invoke";
      readonly atMs: number;
      readonly id: string;
      readonly kind: "event" | "command";
      readonly subject: string;
      readonly key: string;
    }
  | {
      readonly e: "accepted";
      readonly atMs: number;
      readonly id: string;
      readonly epoch: number;
      readonly seq: number;
    }
  | {
      readonly e: "refused";
      readonly atMs: number;
      readonly id: string;
      readonly code: string;
      /** It may have been stored. */
      readonly unknown: boolean;
    }
  | {
      readonly e: "start";
      readonly atMs: number;
      /** Names this call of a handler. */
      readonly run: string;
      readonly subscription: string;
      readonly id: string;
      /** Node id of the producer. */
      readonly producer: string;
      readonly epoch: number;
      readonly seq: number;
      readonly key: string;
      readonly attempt: number;
      /** Decimal: JSON has no bigint. */
      readonly fence: string;
    }
  | {
      readonly e: "end";
      readonly atMs: number;
      readonly run: string;
      readonly outcome: "ok" | "failed" | "revoked";
    }
  | {
      /** The witness got what a handler sent through ctx. */
      readonly e: "effect";
      readonly atMs: number;
      /** Of the message that was handled, and by which call. */
      readonly id: string;
      readonly run: string;
      /** Where the effect's own message stands. */
      readonly producer: string;
      readonly epoch: number;
      readonly seq: number;
    }
  | {
      /** The fenced store decided. */
      readonly e: "write";
      readonly atMs: number;
      readonly run: string;
      readonly key: string;
      readonly fence: string;
      readonly accepted: boolean;
    }
  | {
      /** Its event loop stood still until now: others may have taken it for dead. */
      readonly e: "stalled";
      readonly atMs: number;
      readonly fromMs: number;
    }
  | {
      readonly e: "status";
      readonly atMs: number;
      readonly call: number;
      readonly ledger: Ledgers;
      readonly busy: boolean;
      readonly counters: Readonly<Record<string, number>>;
    }
  | {
      readonly e: "dead";
      readonly atMs: number;
      readonly call: number;
      readonly letters: readonly DeadRecord[];
    };

export type DeadRecord = {
  readonly node: string;
  readonly subscription: string;
  readonly epoch: number;
  readonly seq: number;
  readonly reason: string;
  readonly attempts: number;
};

/** What was done to a process. */
export type Done = {
  readonly e:
    | "spawn"
    | "kill"
    | "pause"
    | "resume"
    | "leave"
    /** It is gone: everything it wrote has been read. */
    | "exit"
    /** The power of its disk went; then it was killed. */
    | "cut"
    /** Its host's network fails it, or does no longer. */
    | "apart"
    | "together";
  readonly atMs: number;
};

/** A line of the history: of which process, in which of its lives. Answers to questions are none. */
export type ChaosRecord = (Exclude<Told, { e: "status" | "dead" }> | Done) & {
  readonly process: string;
  readonly life: number;
};

/** What a process is told. */
export type Order =
  | { readonly op: "go" | "halt" | "stop" }
  /** Has the power of its disk cut right after so many accepted messages, or ended handlers. */
  | { readonly op: "arm"; readonly after: number }
  | { readonly op: "status" | "dead"; readonly call: number };

export const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;
