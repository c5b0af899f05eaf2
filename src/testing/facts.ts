/**
 * What was said, stored and handled in a test mesh, as it was seen; `mesh.published`, `mesh.handled` and
 * the checkers read it.
 *
 * Users' values have no name of their own, so records are named by their place ("n0 5:12": machine, epoch,
 * sequence) and what belongs together is found out when somebody asks; see recorded-history.ts.
 *
 * Everything is kept: a test mesh takes memory for each message of the test.
 */
import type { EnvelopeView } from "../wire/envelope.ts";
import { type Asked, History, type Run, type RunOutcome, type Said } from "./history.ts";

/** What an envelope says beyond what checkers need. */
export type StoredDetail = {
  /** Where it does not follow from the place. */
  readonly messageId: string | undefined;
  /** Id of the message whose dead letter it replays. */
  readonly replayOf: string | undefined;
  readonly causationId: string | undefined;
  readonly correlationId: string | undefined;
  readonly contentType: string;
  readonly schemaVersion: number;
  readonly payload: Uint8Array;
};

export type RunDetail = {
  readonly group: string;
  readonly subject: string;
  readonly messageId: string;
  readonly data: unknown;
  /** Subjects of what it sent through ctx, in order. */
  readonly sent: string[];
  error: unknown;
};

const FOUND_MAX = 20;

export const placeName = (
  node: number,
  at: { readonly epoch: number; readonly seq: number },
): string => `n${node} ${at.epoch}:${at.seq}`;

export class Facts {
  /** Names in it are places, and numbers of calls. */
  readonly history = new History();
  /** By index of the machine. */
  readonly nodeIds: string[] = [];
  readonly details = new Map<string, StoredDetail>();
  readonly runDetails = new Map<Run, RunDetail>();
  /** The ids that receipts named. */
  readonly receiptIds = new Map<Said, string>();
  readonly #pending = new Set<Said>();
  readonly #running = new Set<Run>();
  readonly #asking = new Map<Asked, number>();
  readonly #now: () => number;
  #calls = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** A record of a journal reached a disk; the result is its name. */
  stored(node: number, at: { epoch: number; seq: number }, envelope: EnvelopeView): string {
    const name = placeName(node, at);
    const { id: messageId, replayOf, causationId, correlationId } = envelope;
    const { contentType, schemaVersion, payload } = envelope;
    const ids = { messageId, replayOf, causationId, correlationId };
    this.details.set(name, { ...ids, contentType, schemaVersion, payload });
    return name;
  }

  /** A call of publish or send begins. */
  says(what: Pick<Said, "node" | "kind" | "subject" | "expires" | "delayed">): Said {
    const order = this.#calls++;
    const said: Said = {
      ...what,
      id: `call ${order}`,
      key: undefined,
      order,
      invokedMs: this.#now(),
      filtered: false,
      outcome: "pending",
      position: undefined,
    };
    this.history.said.push(said);
    this.#pending.add(said);
    return said;
  }

  /** It is on the disk, as the receipt says. */
  accepted(said: Said, position: { epoch: number; seq: number }, receiptId: string): void {
    if (!this.#pending.delete(said)) return; // its process was killed meanwhile
    said.outcome = "ok";
    said.position = position;
    this.receiptIds.set(said, receiptId);
    if (said.delayed) return;
    const { node } = said;
    const record = this.history.stored.findLast(
      (stored) =>
        stored.node === node && stored.seq === position.seq && stored.epoch === position.epoch,
    );
    if (record !== undefined && record.state !== "unknown" && record.state !== "burnt") return;
    const message = `${placeName(node, position)} was accepted and is not on the disk`;
    this.found("C10", message);
  }

  refused(said: Said, outcome: "refused" | "unknown"): void {
    if (this.#pending.delete(said)) said.outcome = outcome;
  }

  /** It was never said: a repeat of an earlier call. */
  unsaid(said: Said): void {
    this.#pending.delete(said);
    const at = this.history.said.indexOf(said);
    if (at >= 0) this.history.said.splice(at, 1);
  }

  runs(run: Run, detail: RunDetail): void {
    this.history.runs.push(run);
    this.runDetails.set(run, detail);
    this.#running.add(run);
  }

  ran(run: Run, outcome: RunOutcome, error?: unknown): void {
    if (!this.#running.delete(run)) return; // its process was killed meanwhile
    run.outcome = outcome;
    run.endMs = this.#now();
    const detail = this.runDetails.get(run);
    if (detail !== undefined) detail.error = error;
  }

  /** Whether it has not ended and its process lives. */
  isRunning(run: Run): boolean {
    return this.#running.has(run);
  }

  asks(node: number, timeoutMs: number): Asked {
    const asked: Asked = { invokedMs: this.#now(), timeoutMs, endedMs: undefined, cut: false };
    this.history.asked.push(asked);
    this.#asking.set(asked, node);
    return asked;
  }

  answered(asked: Asked): void {
    if (this.#asking.delete(asked)) asked.endedMs = this.#now();
  }

  /** A promise was seen broken while it ran. */
  found(check: string, message: string): void {
    if (this.history.found.length < FOUND_MAX) this.history.found.push({ check, message });
  }

  /** The process of a machine is gone: what it did has no end. */
  cut(node: number): void {
    for (const said of this.#pending) {
      if (said.node !== node) continue;
      said.outcome = "unknown";
      this.#pending.delete(said);
    }
    for (const run of this.#running) if (run.member === node) this.#running.delete(run);
    for (const [asked, asker] of this.#asking) {
      if (asker !== node) continue;
      asked.cut = true;
      this.#asking.delete(asked);
    }
  }
}
