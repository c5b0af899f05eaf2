/**
 * Between the packet library's values and ours.
 *
 * Reading keeps the record types we know and drops the rest; it never throws, whatever the library
 * handed over. The library reports the QU bit of a question as an unknown class.
 */
import type multicastDns from "multicast-dns";
import type { DnsMessage, DnsQuestion, DnsRecord } from "./dns-record.ts";

type Packet = Partial<multicastDns.FullPacket>;
type Question = multicastDns.QueryOutgoingPacket["questions"][number];
type Answer = multicastDns.ResponseOutgoingPacket["answers"][number];

const QU_CLASSES: readonly string[] = ["UNKNOWN_32769", "UNKNOWN_33023"];
const TRUNCATED = 1 << 9;

/** Most records read from one packet. */
const RECORDS_MAX = 128;

/** A decoded packet as a message. */
export function readPacket(packet: Packet): DnsMessage {
  return {
    kind: packet.type === "response" ? "response" : "query",
    id: packet.id ?? 0,
    truncated: ((packet.flags ?? 0) & TRUNCATED) !== 0,
    questions: (packet.questions ?? []).slice(0, RECORDS_MAX).map(readQuestion),
    answers: readRecords(packet.answers),
    additionals: readRecords(packet.additionals),
  };
}

/** Records as the library takes them. Always fresh objects: it changes what it is given. */
export function writeRecords(records: readonly DnsRecord[]): Answer[] {
  return records.map((record) => {
    const base = { name: record.name, ttl: record.ttlSeconds, flush: record.flush };
    if (record.type === "TXT") return { ...base, type: "TXT", data: [...record.data] };
    if (record.type === "SRV") return { ...base, type: "SRV", data: { ...record.data } };
    return { ...base, type: record.type, data: record.data };
  });
}

/** Questions as the library takes them. Types it does not know were never answered. */
export function writeQuestions(questions: readonly DnsQuestion[]): Question[] {
  return questions.map(({ name, type }) => ({ name, type: type as Question["type"], class: "IN" }));
}

function readQuestion(question: Question): DnsQuestion {
  const unicast = QU_CLASSES.includes(question.class ?? "");
  return { name: question.name, type: question.type, unicast };
}

function readRecords(answers: readonly Answer[] | undefined): DnsRecord[] {
  const records: DnsRecord[] = [];
  for (const answer of (answers ?? []).slice(0, RECORDS_MAX)) {
    const record = readRecord(answer);
    if (record !== undefined) records.push(record);
  }
  return records;
}

function readRecord(answer: Answer): DnsRecord | undefined {
  if (answer.type === "OPT") return undefined;
  const base = {
    name: answer.name,
    ttlSeconds: answer.ttl ?? 0,
    flush: answer.flush === true,
  };
  switch (answer.type) {
    case "PTR":
    case "A":
    case "AAAA":
      return { ...base, type: answer.type, data: answer.data };
    case "SRV":
      return { ...base, type: "SRV", data: { port: answer.data.port, target: answer.data.target } };
    case "TXT": {
      const strings = Array.isArray(answer.data) ? answer.data : [answer.data];
      const data = strings.map((text) => (typeof text === "string" ? text : text.toString("utf8")));
      return { ...base, type: "TXT", data };
    }
    default:
      return undefined;
  }
}
