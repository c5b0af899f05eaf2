/**
 * What a node says on one interface, and when: announcements and answers, without any socket.
 *
 * Problem: peers must find one another within milliseconds, and a link with hundreds of nodes must not
 * drown in answers. Approach, after RFC 6762:
 * - announce at once and again 1 s later (section 8.3);
 * - answer at once while few peers are known, else after 20 to 120 ms for shared records (section 6);
 *   400 to 500 ms when a query says that more known answers follow (section 7.2);
 * - stay silent when the asker knows our answer for at least half of its TTL (section 7.1);
 * - gather answers that wait into one message;
 * - answer queries from other ports than the mDNS one by unicast, TTL at most 10 s, with id and question
 *   echoed (section 6.7); QU questions by unicast when the records were multicast lately (section 5.4).
 *
 * Stricter and laxer than the RFC: section 6 lets a record be multicast once a second. A third node
 * starting in the same second would then wait, so a burst of 8 is allowed and one a second after it; the
 * bound over time is the RFC's. Known answers that follow in another packet are not awaited by sender,
 * because processes of one host share address and port. No NSEC records.
 *
 * Invariant: at most `8 + t` multicast answers and `20 + 20 t` unicast ones in any t seconds.
 */
import type { DnsMessage, DnsQuestion, DnsRecord } from "./dns-record.ts";
import { sameName } from "./dns-record.ts";
import { META_QUERY } from "./service-names.ts";
import type { ServiceRecords } from "./service-records.ts";
import { announcedRecords, goodbyeRecords } from "./service-records.ts";
import { TokenBucket } from "./token-bucket.ts";

export type ResponderAnswer = {
  readonly answers: readonly DnsRecord[];
  readonly additionals: readonly DnsRecord[];
};

export type UnicastAnswer = ResponderAnswer & {
  /** Echoed from the query; 0 for a QU answer. */
  readonly id: number;
  readonly questions: readonly DnsQuestion[];
};

export type QueryCircumstances = {
  readonly nowMs: number;
  /** Uniform in [0, 1). */
  readonly fraction: number;
  /** Many peers share the link: spread shared answers. */
  readonly crowded: boolean;
  /** The query came from a port that is not the mDNS port. */
  readonly legacy: boolean;
  /** The asker is on this host, where a unicast to the mDNS port may reach another process. */
  readonly local: boolean;
};

const SECOND_ANNOUNCEMENT_MS = 1_000;
const LEGACY_TTL_SECONDS_MAX = 10;

export class Responder {
  readonly #records: ServiceRecords;
  readonly #multicasts = new TokenBucket(8, 1);
  readonly #unicasts = new TokenBucket(20, 20);
  readonly #pending = new Set<DnsRecord>();
  readonly #pendingExtras = new Set<DnsRecord>();
  readonly #announceAtMs: number[];
  #answerAtMs = Number.POSITIVE_INFINITY;
  #lastMulticastMs = Number.NEGATIVE_INFINITY;

  constructor(records: ServiceRecords, nowMs: number) {
    this.#records = records;
    this.#announceAtMs = [nowMs, nowMs + SECOND_ANNOUNCEMENT_MS];
  }

  get records(): ServiceRecords {
    return this.#records;
  }

  /** When `takeDue` has something next; Infinity when never. */
  get dueMs(): number {
    return Math.min(this.#announceAtMs[0] ?? Number.POSITIVE_INFINITY, this.#answerAtMs);
  }

  /** Takes a query: plans a multicast answer, or returns a unicast one to send now. */
  query(message: DnsMessage, circumstances: QueryCircumstances): UnicastAnswer | undefined {
    const { nowMs, legacy } = circumstances;
    const found = answersTo(message, this.#records);
    if (found.answers.length === 0) return undefined;
    if (legacy) {
      return this.#unicasts.take(nowMs) ? legacyAnswer(message, found) : undefined;
    }
    const ttlMs = this.#records.text.ttlSeconds * 1_000;
    const wantsUnicast = message.questions.every((question) => question.unicast);
    if (wantsUnicast && !circumstances.local && nowMs - this.#lastMulticastMs < ttlMs / 4) {
      return this.#unicasts.take(nowMs) ? { ...found, id: 0, questions: [] } : undefined;
    }
    for (const record of found.answers) this.#pending.add(record);
    for (const record of found.additionals) this.#pendingExtras.add(record);
    const wishedMs = nowMs + delayMs(message, found, circumstances);
    const atMs = Math.max(wishedMs, this.#multicasts.readyAtMs(nowMs));
    this.#answerAtMs = Math.min(this.#answerAtMs, atMs);
    return undefined;
  }

  /** Somebody said goodbye in our name: plans an announcement that mends it. */
  contradict(nowMs: number): void {
    if (this.#announceAtMs.length > 0) return;
    this.#announceAtMs.push(this.#multicasts.readyAtMs(nowMs));
  }

  /** Somebody new is there: plans an answer as if it had asked. */
  welcome({ nowMs, fraction, crowded }: Omit<QueryCircumstances, "legacy" | "local">): void {
    for (const record of announcedRecords(this.#records)) this.#pending.add(record);
    const wishedMs = nowMs + (crowded ? spreadMs(fraction) : 0);
    const atMs = Math.max(wishedMs, this.#multicasts.readyAtMs(nowMs));
    this.#answerAtMs = Math.min(this.#answerAtMs, atMs);
  }

  /** What to multicast now, or undefined. */
  takeDue(nowMs: number): ResponderAnswer | undefined {
    const announcing = (this.#announceAtMs[0] ?? Number.POSITIVE_INFINITY) <= nowMs;
    if (!announcing && this.#answerAtMs > nowMs) return undefined;
    if (!this.#multicasts.take(nowMs) && !announcing) {
      this.#answerAtMs = this.#multicasts.readyAtMs(nowMs);
      return undefined;
    }
    if (announcing) this.#announceAtMs.shift();
    const answers = announcing ? announcedRecords(this.#records) : [...this.#pending];
    for (const record of this.#pending) if (!answers.includes(record)) answers.push(record);
    const additionals = [...this.#pendingExtras].filter((record) => !answers.includes(record));
    this.#pending.clear();
    this.#pendingExtras.clear();
    this.#answerAtMs = Number.POSITIVE_INFINITY;
    this.#lastMulticastMs = nowMs;
    return { answers, additionals };
  }

  /** The last words on this interface. */
  goodbye(): ResponderAnswer {
    return { answers: goodbyeRecords(this.#records), additionals: [] };
  }
}

/** Which records answer a query, without those its sender already knows. */
export function answersTo(message: DnsMessage, records: ServiceRecords): ResponderAnswer {
  const answers = new Set<DnsRecord>();
  for (const question of message.questions) {
    for (const record of candidates(records)) {
      if (answersQuestion(record, question) && !isKnown(record, message.answers)) {
        answers.add(record);
      }
    }
  }
  if (answers.size === 0) return { answers: [], additionals: [] };
  const pointsHere = answers.has(records.typePointer) || answers.has(records.meshPointer);
  const extras = pointsHere
    ? [records.server, records.text, records.host]
    : answers.has(records.server)
      ? [records.host]
      : [];
  return { answers: [...answers], additionals: extras.filter((record) => !answers.has(record)) };
}

function candidates(records: ServiceRecords): DnsRecord[] {
  return [...announcedRecords(records), records.metaPointer];
}

function answersQuestion(record: DnsRecord, question: DnsQuestion): boolean {
  if (question.type !== record.type && question.type !== "ANY") return false;
  return sameName(question.name, record.name);
}

function isKnown(record: DnsRecord, known: readonly DnsRecord[]): boolean {
  if (record.type !== "PTR") return false;
  return known.some(
    (other) =>
      other.type === "PTR" &&
      other.ttlSeconds >= record.ttlSeconds / 2 &&
      sameName(other.name, record.name) &&
      sameName(other.data, record.data),
  );
}

function delayMs(
  message: DnsMessage,
  found: ResponderAnswer,
  { fraction, crowded }: QueryCircumstances,
): number {
  if (message.truncated) return 400 + 100 * fraction;
  const shared = found.answers.some((record) => !record.flush);
  const meta = message.questions.some((question) => sameName(question.name, META_QUERY));
  return shared && (crowded || meta) ? spreadMs(fraction) : 0;
}

/** Of a shared answer (RFC 6762 section 6). */
function spreadMs(fraction: number): number {
  return 20 + 100 * fraction;
}

function legacyAnswer(message: DnsMessage, found: ResponderAnswer): UnicastAnswer {
  const plain = (record: DnsRecord): DnsRecord => ({
    ...record,
    flush: false,
    ttlSeconds: Math.min(record.ttlSeconds, LEGACY_TTL_SECONDS_MAX),
  });
  return {
    id: message.id,
    questions: message.questions.slice(0, 4),
    answers: found.answers.map(plain),
    additionals: found.additionals.map(plain),
  };
}
