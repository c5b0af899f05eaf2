/**
 * One interface at work: its socket, what it answers and when it asks.
 *
 * The station joins the pure parts (responder, query schedule) with a link. It owns no timer: its owner
 * calls `tick` whenever `dueMs` has come and after each message.
 */
import type { DnsMessage, DnsRecord } from "./dns-record.ts";
import { messageBytes, sameName } from "./dns-record.ts";
import type { MulticastLink, Sender } from "./multicast-link.ts";
import type { KnownPeer } from "./peer-cache.ts";
import { QuerySchedule } from "./query-schedule.ts";
import type { QueryCircumstances, ResponderAnswer } from "./responder.ts";
import { Responder } from "./responder.ts";
import type { MeshNames } from "./service-names.ts";
import type { ServiceRecords } from "./service-records.ts";
import { MESSAGE_BYTES_MAX } from "./service-records.ts";

/** What a station says, under which names. */
export type Saying = { readonly names: MeshNames; readonly records: ServiceRecords | undefined };

/** The strings of a TXT record with all that makes them believable. */
export type SealText = (body: readonly string[], isGoodbye: boolean) => readonly string[];

export class LinkStation {
  readonly link: MulticastLink;
  /** Set when something failed: the owner opens the interface anew at its next look. */
  broken = false;
  #responder: Responder | undefined;
  readonly #schedule: QuerySchedule;
  readonly #seal: SealText | undefined;
  #names: MeshNames;
  #askNow = false;

  /** Without `records` the station asks and listens only; `seal` is of nodes with keys. */
  constructor(link: MulticastLink, saying: Saying, nowMs: number, seal?: SealText) {
    this.link = link;
    this.#schedule = new QuerySchedule(nowMs);
    this.#seal = seal;
    this.#names = saying.names;
    this.#responder = responderOf(saying, nowMs);
  }

  get names(): MeshNames {
    return this.#names;
  }

  /** Goes on under other names, and announces the node under them. */
  rename(saying: Saying, nowMs: number): void {
    this.#names = saying.names;
    this.#responder = responderOf(saying, nowMs);
    this.#askNow = true;
  }

  /** Addresses announced here. */
  get addresses(): readonly string[] {
    return this.#responder?.records.addresses ?? [];
  }

  /** When `tick` has work next. */
  get dueMs(): number {
    return Math.min(this.#schedule.dueMs, this.#responder?.dueMs ?? Number.POSITIVE_INFINITY);
  }

  /** Asks at the next tick, because known records grow old. */
  refresh(): void {
    this.#askNow = true;
  }

  /** Announces again, because somebody said goodbye in this node's name. */
  contradict(nowMs: number): void {
    this.#responder?.contradict(nowMs);
  }

  /** Announces again, because there is somebody new, whose question may not have come through. */
  welcome(circumstances: Pick<QueryCircumstances, "nowMs" | "fraction" | "crowded">): void {
    this.#responder?.welcome(circumstances);
  }

  /** Takes a query heard on this interface. `known` are the peers a query of ours would list. */
  query(
    message: DnsMessage,
    sender: Sender,
    circumstances: QueryCircumstances,
    known: readonly KnownPeer[],
  ): void {
    if (!circumstances.legacy && this.#asksForUs(message, known)) {
      this.#schedule.heardSame(circumstances.nowMs);
    }
    const answer = this.#responder?.query(message, circumstances);
    if (answer !== undefined)
      void this.link.send({ kind: "response", ...answer, ...this.#sealed(answer, false) }, sender);
  }

  /** Sends what is due. `fraction` is uniform in [0, 1). */
  tick(nowMs: number, fraction: number, known: () => readonly KnownPeer[]): void {
    const due = this.#responder?.takeDue(nowMs);
    if (due !== undefined) {
      void this.link.send({ kind: "response", ...this.#sealed(due, false) });
    }
    const scheduled = this.#schedule.dueMs <= nowMs;
    if (!scheduled && !this.#askNow) return;
    this.#askNow = false;
    if (scheduled) this.#schedule.sent(nowMs, fraction);
    const { questions: names } = this.#names;
    const questions = names.map((name) => ({ name, type: "PTR", unicast: false }));
    void this.link.send({ kind: "query", questions, answers: this.#knownAnswers(known()) });
  }

  /** Says goodbye; resolves when the system has taken the packet. */
  async goodbye(): Promise<void> {
    if (this.#responder === undefined) return;
    const last = this.#sealed(this.#responder.goodbye(), true);
    await this.link.send({ kind: "response", ...last });
  }

  #sealed({ answers, additionals }: ResponderAnswer, isGoodbye: boolean): ResponderAnswer {
    const seal = this.#seal;
    if (seal === undefined) return { answers, additionals };
    const one = (record: DnsRecord): DnsRecord =>
      record.type === "TXT" ? { ...record, data: seal(record.data, isGoodbye) } : record;
    return { answers: answers.map(one), additionals: additionals.map(one) };
  }

  /** As many as fit: a missing one only costs an answer that was not needed. */
  #knownAnswers(known: readonly KnownPeer[]): DnsRecord[] {
    const records: DnsRecord[] = [];
    const { questions } = this.#names;
    let bytes = messageBytes(questions, []);
    for (const { nodeId, remainingMs } of known) {
      const record: DnsRecord = {
        type: "PTR",
        name: questions[0] ?? "",
        data: this.#names.instance(nodeId),
        ttlSeconds: Math.floor(remainingMs / 1_000),
        flush: false,
      };
      bytes += messageBytes([], [record]) - messageBytes([], []);
      if (bytes > MESSAGE_BYTES_MAX) break;
      records.push(record);
    }
    return records;
  }

  /** True when the answers to this query are all that a query of ours would bring. */
  #asksForUs(message: DnsMessage, known: readonly KnownPeer[]): boolean {
    const isAsked = (wanted: string): boolean =>
      message.questions.some(
        ({ name, type, unicast }) => !unicast && type === "PTR" && sameName(name, wanted),
      );
    if (message.truncated || !this.#names.questions.every(isAsked)) return false;
    const ours = new Set(known.map(({ nodeId }) => this.#names.instance(nodeId).toLowerCase()));
    if (this.#responder !== undefined) ours.add(this.#responder.records.text.name.toLowerCase());
    return message.answers.every(
      (record) => record.type !== "PTR" || ours.has(record.data.toLowerCase()),
    );
  }
}

const responderOf = ({ records }: Saying, nowMs: number): Responder | undefined =>
  records === undefined ? undefined : new Responder(records, nowMs);
