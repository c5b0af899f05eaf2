import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { DnsMessage, DnsRecord } from "../../../src/discovery/mdns/dns-record.ts";
import { messageBytes } from "../../../src/discovery/mdns/dns-record.ts";
import { parsePeerRecords } from "../../../src/discovery/mdns/peer-records.ts";
import { meshQueryName } from "../../../src/discovery/mdns/service-names.ts";
import {
  announcedRecords,
  buildServiceRecords,
  goodbyeRecords,
  type ServiceRecords,
} from "../../../src/discovery/mdns/service-records.ts";
import { announcement } from "../discovery-recorder.ts";

const ID = "0123456789abcdefghjk";
const self = announcement({ mesh: "shop", nodeId: ID, epoch: 7 });

const built = (changes: object = {}): ServiceRecords => {
  const records = buildServiceRecords({ ...self, ...changes }, "10.0.0.5", 120_000);
  if ("refused" in records) throw new Error(records.refused);
  return records;
};

const response = (answers: readonly DnsRecord[]): DnsMessage => ({
  kind: "response",
  id: 0,
  truncated: false,
  questions: [],
  answers,
  additionals: [],
});

const text = (data: readonly string[], changes: object = {}): DnsRecord => ({
  type: "TXT",
  name: `${ID}._meshbus._tcp.local`,
  ttlSeconds: 120,
  flush: true,
  data,
  ...changes,
});

const GOOD = ["v=1", "mesh=shop", `id=${ID}`, "epoch=7", "a0=zmq://10.0.0.1:7400"];

describe("service records", () => {
  it("are the documented set", () => {
    const instance = `${ID}._meshbus._tcp.local`;
    const [meshPointer, typePointer, server, textRecord, host] = announcedRecords(built());
    expect(meshPointer).toMatchObject({
      name: meshQueryName("shop"),
      data: instance,
      flush: false,
    });
    expect(typePointer).toMatchObject({ name: "_meshbus._tcp.local", data: instance });
    expect(server).toMatchObject({ name: instance, data: { port: 41_234, target: `${ID}.local` } });
    expect(server?.flush).toBe(true);
    expect(textRecord?.data).toEqual([
      "v=1",
      "mesh=shop",
      `id=${ID}`,
      "epoch=7",
      "a0=zmq://127.0.0.1:41234",
      "service=orders",
    ]);
    expect(host).toMatchObject({ type: "A", name: `${ID}.local`, data: "127.0.0.1" });
  });

  it("pin the name of a mesh's subtype, which is part of the protocol", () => {
    expect(meshQueryName("shop")).toMatchInlineSnapshot(`"_ma847e0a9._sub._meshbus._tcp.local"`);
  });

  it("put the interface's address in the place of 0.0.0.0 and ::", () => {
    const records = built({ addresses: ["zmq://0.0.0.0:1", "tcp://[::]:2"] });
    expect(records.addresses).toEqual(["zmq://10.0.0.5:1", "tcp://10.0.0.5:2"]);
  });

  it("give AAAA for IPv6 and the interface's A for a host name", () => {
    expect(built({ addresses: ["tcp://[fd00::1]:1"] }).host).toMatchObject({ type: "AAAA" });
    expect(built({ addresses: ["tcp://h.example:1"] }).host.data).toBe("10.0.0.5");
  });

  it("stay within 1,300 bytes whatever is announced, and parse back", () => {
    const address = fc
      .tuple(fc.stringMatching(/^[a-z]{1,200}$/), fc.integer({ min: 1, max: 65_535 }))
      .map(([host, port]) => `zmq://${host}:${port}`);
    const changes = fc.record({
      addresses: fc.array(address, { minLength: 1, maxLength: 20 }),
      mesh: fc.stringMatching(/^[ -~]{1,200}$/),
      service: fc.stringMatching(/^[ -~]{0,300}$/),
      nodeId: fc.stringMatching(/^[a-z0-9]{1,63}$/),
      epoch: fc.maxSafeNat(),
    });
    fc.assert(
      fc.property(changes, (given) => {
        const records = built(given);
        const sent = announcedRecords(records);
        expect(messageBytes([], sent)).toBeLessThanOrEqual(1_300);
        expect(records.addresses.length).toBeGreaterThan(0);
        const { alive, malformed } = parsePeerRecords(response(sent), true);
        expect(malformed).toBe(0);
        expect(alive[0]).toMatchObject({
          nodeId: given.nodeId,
          mesh: given.mesh,
          epoch: given.epoch,
          addresses: records.addresses,
          ttlMs: 120_000,
        });
      }),
      { numRuns: 300 },
    );
  });

  it("say how many addresses did not fit", () => {
    const addresses = Array.from({ length: 11 }, (_, index) => `zmq://h:${index + 1}`);
    expect(built({ addresses }).omitted).toBe(3);
    expect(built({ addresses }).addresses).toEqual(addresses.slice(0, 8));
  });

  it.each([
    ["a node id with a dot", { nodeId: "a.b" }],
    ["a node id of 64", { nodeId: "a".repeat(64) }],
    ["a mesh name of 201 bytes", { mesh: "m".repeat(201) }],
    ["no usable address", { addresses: ["nonsense"] }],
  ])("refuse %s with a reason", (_, changes) => {
    const refused = buildServiceRecords({ ...self, ...changes }, "10.0.0.5", 1_000);
    expect(refused).toHaveProperty("refused");
  });

  it("say goodbye with a TTL of 0 in every record, which parses as a goodbye of that epoch", () => {
    const records = goodbyeRecords(built());
    expect(records.every((record) => record.ttlSeconds === 0)).toBe(true);
    const { alive, goodbyes } = parsePeerRecords(response(records), true);
    expect(alive).toEqual([]);
    expect(goodbyes).toEqual([{ nodeId: ID, epoch: 7, mesh: "shop" }]);
  });
});

describe("peer records", () => {
  it("are taken from the TXT alone", () => {
    const { alive } = parsePeerRecords(response([text(GOOD)]), false);
    expect(alive).toEqual([
      { nodeId: ID, mesh: "shop", epoch: 7, addresses: ["zmq://10.0.0.1:7400"], ttlMs: 120_000 },
    ]);
  });

  it("take the address from SRV and A where the TXT has none", () => {
    const rest = { ttlSeconds: 120, flush: true };
    const records: DnsRecord[] = [
      text(GOOD.slice(0, 4)),
      {
        ...rest,
        type: "SRV",
        name: `${ID}._meshbus._tcp.LOCAL`,
        data: { port: 9, target: "H.local" },
      },
      { ...rest, type: "A", name: "h.local", data: "10.0.0.9" },
    ];
    const { alive } = parsePeerRecords(response(records), false);
    expect(alive[0]?.addresses).toEqual(["zmq://10.0.0.9:9"]);
  });

  it("keep addresses that stay on one host only for senders on this host", () => {
    const mixed = text([...GOOD, "a1=unix:///a", "a2=tcp://127.0.0.1:1", "a3=tcp://0.0.0.0:1"]);
    const near = parsePeerRecords(response([mixed]), true).alive[0]?.addresses;
    const far = parsePeerRecords(response([mixed]), false).alive[0]?.addresses;
    expect(near).toEqual(["zmq://10.0.0.1:7400", "unix:///a", "tcp://127.0.0.1:1"]);
    expect(far).toEqual(["zmq://10.0.0.1:7400"]);
  });

  it("let the first of a repeated key count and ignore keys they do not know", () => {
    const record = text(["future", "x=1", ...GOOD, "epoch=9"]);
    expect(parsePeerRecords(response([record]), false).alive[0]?.epoch).toBe(7);
  });

  it("of another format version are neither peers nor malformed", () => {
    const record = text(["v=2", "shape=unknown"]);
    expect(parsePeerRecords(response([record]), false)).toEqual({
      alive: [],
      goodbyes: [],
      malformed: 0,
      sealed: 1,
    });
  });

  it.each([
    ["no version", text(GOOD.slice(1))],
    ["an id that is not the instance", text(GOOD.map((each) => each.replace(ID, "other")))],
    ["a negative epoch", text(GOOD.map((each) => each.replace("epoch=7", "epoch=-7")))],
    ["an epoch past 2^53", text(GOOD.map((each) => each.replace("epoch=7", `epoch=${2 ** 53}`)))],
    ["no mesh", text(GOOD.filter((each) => !each.startsWith("mesh")))],
    ["a mesh of 201 bytes", text(GOOD.map((each) => each.replace("shop", "m".repeat(201))))],
    ["an address that is none", text([...GOOD.slice(0, 4), "a0=zmq://host"])],
    ["no address at all", text(GOOD.slice(0, 4))],
    ["33 strings", text([...GOOD, ...Array.from({ length: 28 }, (_, n) => `x${n}=1`)])],
    ["a string without a key", text([...GOOD, "=x"])],
    ["bytes that are not UTF-8", text([...GOOD, "x=\ufffd"])],
    ["an instance that is no label", text(GOOD, { name: "a.b._meshbus._tcp.local" })],
  ])("are malformed with %s", (_, record) => {
    const { alive, goodbyes, malformed } = parsePeerRecords(response([record]), true);
    expect([alive, goodbyes, malformed]).toEqual([[], [], 1]);
  });

  it("stop after 32 peers in one message", () => {
    const many = Array.from({ length: 100 }, (_, n) => {
      const data = GOOD.map((each) => each.replace(ID, `n${n}`));
      return text(data, { name: `n${n}._meshbus._tcp.local` });
    });
    const { alive, malformed } = parsePeerRecords(response(many), false);
    expect([alive.length, malformed]).toEqual([32, 1]);
  });

  it("never throw on arbitrary strings", () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { maxLength: 40 }), fc.string(), (strings, name) => {
        const record = text(strings, { name: `${name}._meshbus._tcp.local` });
        const { alive, malformed } = parsePeerRecords(response([record]), true);
        expect(alive.length + malformed).toBeLessThanOrEqual(1);
      }),
    );
  });
});
