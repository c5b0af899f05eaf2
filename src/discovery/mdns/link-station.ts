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
import type { QueryCircumstances } from "./responder.ts";
import { Responder } from "./responder.ts";
import { instanceName, meshQueryName, nodeIdOfInstance } from "./service-names.ts";
import type { ServiceRecords } from "./service-records.ts";
import { MESSAGE_BYTES_MAX } from "./service-records.ts";

export class LinkStation {
  readonly link: MulticastLink;
  /** Set when something failed: the owner opens the interface anew at its next look. */
  broken = false;
  readonly #responder: Responder | undefined;
  readonly #schedule: QuerySchedule;
  readonly #question: string;
  #askNow = false;

  /** Without `records` the station asks and listens only. */
  constructor(
    link: MulticastLink,
    mesh: string,
    records: ServiceRecords | undefined,
    nowMs: number,
  ) {
    this.link = link;
    this.#responder = records === undefined ? undefined : new Responder(records, nowMs);
    this.#schedule = new QuerySchedule(nowMs);
    this.#question = meshQueryName(mesh);
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
    if (answer !== undefined) void this.link.send({ kind: "response", ...answer }, sender);
  }

  /** Sends what is due. `fraction` is uniform in [0, 1). */
  tick(nowMs: number, fraction: number, known: () => readonly KnownPeer[]): void {
    const due = this.#responder?.takeDue(nowMs);
    if (due !== undefined) void this.link.send({ kind: "response", ...due });
    const scheduled = this.#schedule.dueMs <= nowMs;
    if (!scheduled && !this.#askNow) return;
    this.#askNow = false;
    if (scheduled) this.#schedule.sent(nowMs, fraction);
    const questions = [{ name: this.#question, type: "PTR", unicast: false }];
    void this.link.send({ kind: "query", questions, answers: this.#knownAnswers(known()) });
  }

  /** Says goodbye; resolves when the system has taken the packet. */
  async goodbye(): Promise<void> {
    if (this.#responder === undefined) return;
    await this.link.send({ kind: "response", ...this.#responder.goodbye() });
  }

  /** As many as fit: a missing one only costs an answer that was not needed. */
  #knownAnswers(known: readonly KnownPeer[]): DnsRecord[] {
    const records: DnsRecord[] = [];
    let bytes = messageBytes([this.#question], []);
    for (const { nodeId, remainingMs } of known) {
      const record: DnsRecord = {
        type: "PTR",
        name: this.#question,
        data: instanceName(nodeId),
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
    const same = message.questions.some(
      ({ name, type, unicast }) => !unicast && type === "PTR" && sameName(name, this.#question),
    );
    if (!same || message.truncated) return false;
    const ours = new Set(known.map(({ nodeId }) => nodeId));
    if (this.#responder !== undefined) ours.add(this.#responder.records.nodeId);
    return message.answers.every(
      (record) => record.type !== "PTR" || ours.has(nodeIdOfInstance(record.data) ?? ""),
    );
  }
}
