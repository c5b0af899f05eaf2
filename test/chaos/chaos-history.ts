/**
 * The lines of a chaos run as the history that the checkers read.
 *
 * A handling of a subscription whose handler sends something was accepted when what it sent reached the
 * witness; one that sends nothing, when it ended well. Receipts say what is stored; what was handled
 * without a receipt (its producer was killed first) may be stored or not.
 */
import {
  History,
  type Known,
  type Run,
  type Said,
  type Stored,
} from "../../src/testing/history.ts";
import type { ChaosRecord, DeadRecord } from "./chaos-record.ts";
import { COMMAND, EFFECT, EVENT, SUBSCRIPTIONS } from "./process-spec.ts";

type RecordOf<E extends ChaosRecord["e"]> = Extract<ChaosRecord, { e: E }>;

export type ChaosHistory = {
  readonly history: History;
  /** Names of the processes, by their number in the history. */
  readonly names: readonly string[];
  /** Effects that reached the witness more than once as the same message. */
  readonly witnessRepeats: number;
};

const SENDING = new Set(
  Object.values(SUBSCRIPTIONS).flatMap(({ id, sends }) => (sends ? [id as string] : [])),
);

export const chaosHistoryOf = (
  records: readonly ChaosRecord[],
  letters: readonly DeadRecord[],
  isQuiet: boolean,
): ChaosHistory => {
  const reading = new Reading();
  for (const record of records) reading.name(record);
  for (const record of records) reading.read(record);
  return reading.end(letters, isQuiet);
};

class Reading {
  readonly #history = new History();
  readonly #indexes = new Map<string, number>();
  readonly #indexOfNode = new Map<string, number>();
  readonly #runs = new Map<string, Run>();
  readonly #accepted = new Set<string>();
  readonly #places = new Set<string>();
  #witnessRepeats = 0;

  constructor() {
    for (const { id } of Object.values(SUBSCRIPTIONS)) {
      this.#history.known.set(id, knownOf(id));
    }
  }

  name(record: ChaosRecord): void {
    if (record.e === "ready") this.#indexOfNode.set(record.node, this.#indexOf(record.process));
  }

  read(record: ChaosRecord): void {
    switch (record.e) {
      case "invoke":
        this.#invoked(record);
        break;
      case "accepted":
        this.#receipt(record);
        break;
      case "refused":
        this.#refused(record);
        break;
      case "start":
        this.#started(record);
        break;
      case "end":
        this.#ended(record);
        break;
      case "effect":
        this.#effect(record);
        break;
      default:
    }
  }

  end(letters: readonly DeadRecord[], isQuiet: boolean): ChaosHistory {
    const history = this.#history;
    history.isQuiet = isQuiet;
    for (const said of history.said) if (said.outcome === "pending") said.outcome = "unknown";
    for (const [name, run] of this.#runs) {
      if (!SENDING.has(run.subscription) || run.outcome !== "ok") continue;
      if (this.#accepted.has(name)) run.sent.push(effectOf(run));
      else run.outcome = "revoked"; // it ended well, and another handling was the one accepted
    }
    for (const run of history.runs) this.#storeUnknown(run);
    for (const { node, subscription, epoch, seq, reason, attempts } of letters) {
      const place = { node: this.#indexOfNode.get(node) ?? -1, epoch, seq };
      history.dead.push({ ...place, subscription, reason, attempts, atMs: 0 });
    }
    const names = [...this.#indexes.keys()];
    return { history, names, witnessRepeats: this.#witnessRepeats };
  }

  #invoked({ process, id, kind, subject, key, atMs }: RecordOf<"invoke">): void {
    const { said, saidById } = this.#history;
    const call: Said = {
      ...{ id, kind, subject, key, node: this.#indexOf(process), order: said.length },
      ...{ invokedMs: atMs, expires: false, delayed: false, filtered: true },
      outcome: "pending",
      position: undefined,
    };
    said.push(call);
    saidById.set(id, call);
  }

  #receipt({ id, epoch, seq, atMs }: RecordOf<"accepted">): void {
    const said = this.#history.saidById.get(id);
    if (said === undefined) return;
    said.outcome = "ok";
    said.position = { epoch, seq };
    this.#store({ ...said, ...{ epoch, seq, atMs, state: "ok" } });
  }

  #refused({ id, unknown }: RecordOf<"refused">): void {
    const said = this.#history.saidById.get(id);
    if (said !== undefined) said.outcome = unknown ? "unknown" : "refused";
  }

  #started(record: RecordOf<"start">): void {
    const { run, subscription, id, producer, epoch, seq, key, attempt, atMs } = record;
    const fence = Number(record.fence); // terms are safe integers
    const started: Run = {
      ...{
        subscription,
        id,
        epoch,
        seq,
        key,
        attempt,
        startMs: atMs,
        volatile: false,
        isReplay: false,
        fence,
      },
      member: this.#indexOf(record.process),
      life: record.life,
      producer: this.#indexOfNode.get(producer) ?? -1,
      endMs: undefined,
      outcome: "running",
      sent: [],
    };
    this.#history.runs.push(started);
    this.#runs.set(run, started);
  }

  #ended({ run: name, atMs, outcome }: RecordOf<"end">): void {
    const run = this.#runs.get(name);
    if (run === undefined) return;
    run.endMs = atMs;
    run.outcome = outcome;
  }

  #effect({ run: name, producer, epoch, seq, atMs }: RecordOf<"effect">): void {
    const run = this.#runs.get(name);
    if (run === undefined) return;
    this.#accepted.add(name);
    const node = this.#indexOfNode.get(producer) ?? -1;
    const what = { id: effectOf(run), kind: "event", subject: EFFECT, key: run.key } as const;
    const isNew = this.#store({ ...what, node, epoch, seq, atMs, state: "ok" });
    if (!isNew) this.#witnessRepeats++;
  }

  /** A message that was handled and has no receipt. */
  #storeUnknown({ id, producer: node, epoch, seq, startMs: atMs }: Run): void {
    const said = this.#history.saidById.get(id);
    if (said !== undefined) this.#store({ ...said, node, epoch, seq, atMs, state: "unknown" });
  }

  /** False when this place of this journal is known to hold this message already. */
  #store(
    what: Pick<Stored, "id" | "kind" | "subject" | "key" | "node" | "epoch" | "seq"> &
      Pick<Stored, "atMs" | "state">,
  ): boolean {
    const { id, kind, subject, key, node, epoch, seq, atMs, state } = what;
    const place = `${node} ${epoch}:${seq} ${id}`;
    if (this.#places.has(place)) return false;
    this.#places.add(place);
    this.#history.stored.push({
      ...{ id, kind, subject, key, node, epoch, seq, atMs, state },
      ...{ target: undefined, timeMs: 1, timeCounter: 0, expires: false, headers: {} },
    });
    return true;
  }

  #indexOf(name: string): number {
    const known = this.#indexes.get(name);
    if (known !== undefined) return known;
    this.#indexes.set(name, this.#indexes.size);
    return this.#indexes.size - 1;
  }
}

/** The same for every handling of one message: two of them are two effects. */
const effectOf = ({ id, subscription }: Run): string => `${id}|${subscription}`;

/** All of them were there before the first message. */
const knownOf = (id: string): Known => ({
  ...{ id, durable: true, keyed: true, holds: false, filter: {}, moves: true, fromStart: false },
  role: id === SUBSCRIPTIONS.order.id ? "commands" : "events",
  pattern: id === SUBSCRIPTIONS.order.id ? COMMAND : EVENT,
  births: [{ ms: 0, counter: 0 }],
});
