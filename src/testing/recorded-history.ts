/**
 * The history that checkers read, from what was seen of messages that have no names.
 *
 * Problem: a checker wants one name for a message wherever it is met: said, stored, handled, stored again
 * when its time came or its dead letter was replayed, sent by a handler. Approach: the receipt names the
 * place of what was said; the message id names what is stored again; the causation id and
 * the order name what a handler sent. A call without an outcome may have left a record of its subject.
 *
 * What a handler sends is named "<place>|<subscription>|<n>": a second member that handles the same message
 * sends the same, and only one of them may leave.
 */
import { messageId, type NodeId } from "../core/ids.ts";
import { type Facts, placeName } from "./facts.ts";
import { History, type LedgerCount, type Run, type Said, type Stored } from "./history.ts";

export type Ending = {
  readonly isQuiet: boolean;
  readonly isCalm: boolean;
  readonly ledgers: readonly LedgerCount[];
};

export const recordedHistory = (facts: Facts, ending: Ending): History => {
  const { history: seen } = facts;
  const names = new Names(facts);
  const history = new History();
  for (const record of seen.stored) {
    if (record.state === "burnt") continue;
    history.stored.push({ ...record, id: names.of(record) });
  }
  for (const said of seen.said) {
    const key = said.position && names.keyAt(placeName(said.node, said.position));
    history.said.push({ ...said, key });
  }
  for (const said of history.said) history.saidById.set(said.id, said);
  for (const run of seen.runs) {
    history.runs.push({ ...run, id: names.ofRun(run), sent: names.sentBy(run) });
  }
  for (const [id, known] of seen.known) history.known.set(id, known);
  history.dead.push(...seen.dead);
  history.asked.push(...seen.asked);
  history.found.push(...seen.found);
  history.changesMs.push(...seen.changesMs);
  history.ledgers = [...ending.ledgers];
  history.isQuiet = ending.isQuiet;
  history.isCalm = ending.isCalm;
  history.mayOverflow = hasOverflown(history);
  return history;
};

/** Whether more expired than had a time limit: by age, or because a journal was full. */
const hasOverflown = ({ ledgers, stored }: History): boolean => {
  const limited = stored.filter(({ expires }) => expires).length;
  return ledgers.some(({ expired }) => expired > limited);
};

type Sent = { readonly id: string; readonly subject: string; isTaken: boolean };

class Names {
  readonly #facts: Facts;
  readonly #byPlace = new Map<string, string>();
  readonly #byMessageId = new Map<string, string>();
  readonly #keys = new Map<string, string | undefined>();
  /** By member and message id: what handlers sent, of those first that ended well. */
  readonly #sent = new Map<string, Sent[]>();
  readonly #sentCounts = new Map<string, number>();
  readonly #unknown: Said[];
  readonly #numbers: ReadonlyMap<Run, number>;

  constructor(facts: Facts) {
    this.#facts = facts;
    const { said, runs } = facts.history;
    this.#numbers = new Map(runs.map((run, at) => [run, at]));
    for (const one of said) {
      if (one.outcome !== "ok" || one.position === undefined) continue;
      if (!one.delayed) this.#byPlace.set(placeName(one.node, one.position), one.id);
      this.#byMessageId.set(facts.receiptIds.get(one) ?? "", one.id);
    }
    this.#unknown = said.filter(({ outcome }) => outcome === "unknown" || outcome === "pending");
    const succeeded = runs.filter(({ outcome }) => outcome === "ok");
    for (const run of succeeded) this.#count(run);
    for (const run of succeeded) this.#offer(run);
    for (const run of runs) if (run.outcome !== "ok") this.#offer(run);
  }

  of(record: Stored): string {
    const { node, epoch, seq, id, subject, key } = record;
    if (id === "") return ""; // the place of a delayed message
    this.#keys.set(id, key);
    const known = this.#byPlace.get(id);
    const detail = this.#facts.details.get(id);
    const { messageId: given, replayOf, causationId = "" } = detail ?? {};
    const nodeId = this.#facts.nodeIds[node] as NodeId;
    const name =
      known ??
      this.#byMessageId.get(replayOf ?? given ?? "") ??
      this.#take(`${node} ${causationId}`, subject) ??
      this.#unknownCall(node, subject) ??
      id;
    this.#byPlace.set(id, name);
    const own = given ?? messageId(nodeId, epoch, seq);
    if (!this.#byMessageId.has(own)) this.#byMessageId.set(own, name);
    return name;
  }

  keyAt(place: string): string | undefined {
    return this.#keys.get(place);
  }

  /** What is stored where the message came from, if that is the message. */
  ofRun(run: Run): string {
    if (run.volatile) return run.id;
    const place = placeName(run.producer, run);
    const name = this.#byPlace.get(place);
    const detail = this.#facts.details.get(place);
    if (name === undefined || detail === undefined) return run.id;
    const nodeId = this.#facts.nodeIds[run.producer] as NodeId;
    const stored = detail.messageId ?? messageId(nodeId, run.epoch, run.seq);
    return stored === run.id ? name : run.id;
  }

  /**
   * Of members that both handled it, and sent a different number: what all of them sent. Of an at-most-once
   * message: what left.
   */
  sentBy(run: Run): string[] {
    const { sent } = this.#detailOf(run);
    if (run.volatile) {
      return this.#offers(run).flatMap(({ id, isTaken }) =>
        isTaken && id.startsWith(`${this.#effectOf(run)}|`) ? [id] : [],
      );
    }
    const count = Math.min(sent.length, this.#sentCounts.get(this.#effectOf(run)) ?? sent.length);
    return sent.slice(0, count).map((_, at) => `${this.#effectOf(run)}|${at}`);
  }

  #count(run: Run): void {
    const name = this.#effectOf(run);
    const { length } = this.#detailOf(run).sent;
    this.#sentCounts.set(name, Math.min(length, this.#sentCounts.get(name) ?? length));
  }

  #offer(run: Run): void {
    const offers = this.#offers(run);
    for (const [at, subject] of this.#detailOf(run).sent.entries()) {
      const id = `${this.#effectOf(run)}|${at}`;
      if (!offers.some((other) => other.id === id)) offers.push({ id, subject, isTaken: false });
    }
  }

  #offers(run: Run): Sent[] {
    const where = `${run.member} ${run.volatile ? "" : run.id}`;
    const offers = this.#sent.get(where) ?? [];
    this.#sent.set(where, offers);
    return offers;
  }

  /** The first that fits and is free; when all are taken, one has left twice. */
  #take(where: string, subject: string): string | undefined {
    const fitting = (this.#sent.get(where) ?? []).filter((sent) => sent.subject === subject);
    const found = fitting.find(({ isTaken }) => !isTaken) ?? fitting[0];
    if (found !== undefined) found.isTaken = true;
    return found?.id;
  }

  #unknownCall(node: number, subject: string): string | undefined {
    const at = this.#unknown.findIndex((said) => said.node === node && said.subject === subject);
    return at < 0 ? undefined : this.#unknown.splice(at, 1)[0]?.id;
  }

  /** At-most-once messages have no place: each run of one is its own. */
  #effectOf(run: Run): string {
    const { volatile, producer, subscription } = run;
    const place = volatile ? `run ${this.#numbers.get(run)}` : placeName(producer, run);
    return `${place}|${subscription}`;
  }

  #detailOf(run: Run) {
    return this.#facts.runDetails.get(run) ?? NOTHING;
  }
}

const NOTHING = { sent: [] } as const;
