import { describe, expect, it } from "vitest";
import type { DnsMessage, DnsQuestion, DnsRecord } from "../../../src/discovery/mdns/dns-record.ts";
import { answersTo, Responder } from "../../../src/discovery/mdns/responder.ts";
import {
  META_QUERY,
  meshQueryName,
  SERVICE_TYPE,
} from "../../../src/discovery/mdns/service-names.ts";
import { buildServiceRecords } from "../../../src/discovery/mdns/service-records.ts";
import { announcement } from "../discovery-recorder.ts";

const ID = "0123456789abcdefghjk";
const INSTANCE = `${ID}.${SERVICE_TYPE}`;
const MESH = meshQueryName("shop");
const records = (() => {
  const built = buildServiceRecords(
    announcement({ nodeId: ID, mesh: "shop" }),
    "10.0.0.5",
    120_000,
  );
  if ("refused" in built) throw new Error(built.refused);
  return built;
})();

const ask = (name: string, type = "PTR", changes: Partial<DnsMessage> = {}): DnsMessage => ({
  kind: "query",
  id: 77,
  truncated: false,
  questions: [{ name, type, unicast: false }],
  answers: [],
  additionals: [],
  ...changes,
});
const at = (nowMs: number, changes: object = {}) => ({
  nowMs,
  fraction: 0.5,
  crowded: false,
  legacy: false,
  local: false,
  ...changes,
});
/** A responder whose two announcements are over, at 10 s. */
const settled = (): Responder => {
  const responder = new Responder(records, 0);
  responder.takeDue(0);
  responder.takeDue(1_000);
  responder.takeDue(10_000);
  return responder;
};
const knownFor = (ttlSeconds: number): DnsRecord[] => [{ ...records.meshPointer, ttlSeconds }];

describe("answers", () => {
  const { typePointer, meshPointer, metaPointer, server, text, host } = records;
  it.each<[string, string, string, DnsRecord[], DnsRecord[]]>([
    ["the type", SERVICE_TYPE, "PTR", [typePointer], [server, text, host]],
    ["the own mesh", MESH, "PTR", [meshPointer], [server, text, host]],
    ["the mesh in capitals", MESH.toUpperCase(), "PTR", [meshPointer], [server, text, host]],
    ["another mesh", meshQueryName("bank"), "PTR", [], []],
    ["the meta-query", META_QUERY, "PTR", [metaPointer], []],
    ["SRV of the instance", INSTANCE, "SRV", [server], [host]],
    ["TXT of the instance", INSTANCE, "TXT", [text], []],
    ["everything of the instance", INSTANCE, "ANY", [server, text], [host]],
    ["another instance", `other.${SERVICE_TYPE}`, "ANY", [], []],
    ["A of the host", `${ID}.local`, "A", [host], []],
    ["AAAA of an IPv4 host", `${ID}.local`, "AAAA", [], []],
    ["a type nobody knows", INSTANCE, "UNKNOWN_999", [], []],
  ])("to a question for %s", (_, name, type, answers, additionals) => {
    expect(answersTo(ask(name, type), records)).toEqual({ answers, additionals });
  });

  it.each([
    [120, 0],
    [60, 0],
    [59, 1],
  ])("to one who knows ours for another %s of 120 s: %s", (ttlSeconds, count) => {
    const query = ask(MESH, "PTR", { answers: knownFor(ttlSeconds) });
    expect(answersTo(query, records).answers.length).toBe(count);
  });

  it("do not stop because somebody else's record is known", () => {
    const [other] = knownFor(120);
    const answers = [{ ...other, data: `other.${SERVICE_TYPE}` } as DnsRecord];
    expect(answersTo(ask(MESH, "PTR", { answers }), records).answers.length).toBe(1);
  });
});

describe("responder", () => {
  it("announces at once and again one second later, then rests", () => {
    const responder = new Responder(records, 500);
    expect(responder.dueMs).toBe(500);
    expect(responder.takeDue(500)?.answers.length).toBe(5);
    expect(responder.dueMs).toBe(1_500);
    expect(responder.takeDue(1_499)).toBeUndefined();
    expect(responder.takeDue(1_500)?.answers.length).toBe(5);
    expect(responder.dueMs).toBe(Number.POSITIVE_INFINITY);
  });

  it.each([
    ["at once among few", ask(MESH), {}, 0],
    ["after 20 to 120 ms among many", ask(MESH), { crowded: true }, 70],
    ["at once for unique records, also among many", ask(INSTANCE, "SRV"), { crowded: true }, 0],
    [
      "after 400 to 500 ms when known answers follow",
      ask(MESH, "PTR", { truncated: true }),
      {},
      450,
    ],
  ])("answers %s", (_, query, circumstances, delayMs) => {
    const responder = settled();
    expect(responder.query(query, at(10_000, circumstances))).toBeUndefined();
    expect(responder.dueMs).toBe(10_000 + delayMs);
    expect(responder.takeDue(10_000 + delayMs)?.answers.length).toBe(1);
    expect(responder.dueMs).toBe(Number.POSITIVE_INFINITY);
  });

  it("gathers what waits into one message without repeating a record", () => {
    const responder = settled();
    for (const query of [ask(MESH), ask(SERVICE_TYPE), ask(INSTANCE, "TXT")]) {
      responder.query(query, at(10_000, { crowded: true }));
    }
    const sent = responder.takeDue(10_070);
    const all = [...(sent?.answers ?? []), ...(sent?.additionals ?? [])];
    expect(new Set(all).size).toBe(all.length);
    expect(all.length).toBe(5);
  });

  it("multicasts at most 8 answers in a burst and one a second after it", () => {
    const responder = settled();
    let sent = 0;
    for (let nowMs = 20_000; nowMs < 30_000; nowMs += 10) {
      responder.query(ask(MESH), at(nowMs));
      if (responder.takeDue(nowMs) !== undefined) sent += 1;
    }
    expect(sent).toBeLessThanOrEqual(8 + 10);
    expect(sent).toBeGreaterThanOrEqual(8 + 9);
  });

  it("answers a one-shot query by unicast with its id and question, short-lived, without flush", () => {
    const answer = settled().query(ask(SERVICE_TYPE), at(10_000, { legacy: true }));
    expect(answer?.id).toBe(77);
    expect(answer?.questions.map((question) => question.name)).toEqual([SERVICE_TYPE]);
    const all = [...(answer?.answers ?? []), ...(answer?.additionals ?? [])];
    expect(all.map((record) => [record.ttlSeconds, record.flush])).toEqual(
      all.map(() => [10, false]),
    );
  });

  it("sends at most 20 unicast answers at once, so that it amplifies nothing", () => {
    const responder = settled();
    const answers = Array.from({ length: 100 }, () =>
      responder.query(ask(SERVICE_TYPE), at(10_000, { legacy: true })),
    );
    expect(answers.filter((answer) => answer !== undefined).length).toBe(20);
  });

  it("answers QU by unicast only to another host and soon after a multicast", () => {
    const questions: DnsQuestion[] = [{ name: MESH, type: "PTR", unicast: true }];
    const query = ask(MESH, "PTR", { questions });
    expect(settled().query(query, at(10_000))).toBeDefined();
    expect(settled().query(query, at(10_000, { local: true }))).toBeUndefined();
    expect(settled().query(query, at(31_001))).toBeUndefined();
  });

  it("announces again when contradicted, and bounds that too", () => {
    const responder = settled();
    let sent = 0;
    for (let nowMs = 10_000; nowMs < 20_000; nowMs += 10) {
      responder.contradict(nowMs);
      if (responder.takeDue(nowMs) !== undefined) sent += 1;
    }
    expect(sent).toBeGreaterThan(0);
    expect(sent).toBeLessThanOrEqual(8 + 10);
  });
});
