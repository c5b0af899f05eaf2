/** The pure parts that only know time: query schedule and token bucket; and the two that judge packets. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { chooseInterfaces, isOnLink } from "../../../src/discovery/mdns/multicast-interface.ts";
import { PacketGate } from "../../../src/discovery/mdns/packet-gate.ts";
import { QuerySchedule } from "../../../src/discovery/mdns/query-schedule.ts";
import { TokenBucket } from "../../../src/discovery/mdns/token-bucket.ts";

describe("query schedule", () => {
  it("asks at 0, 1, 3, 7... s and from then on every 60 s", () => {
    const schedule = new QuerySchedule(0);
    const times: number[] = [];
    for (let n = 0; n < 10; n += 1) {
      times.push(schedule.dueMs / 1_000);
      schedule.sent(schedule.dueMs, 0);
    }
    expect(times).toEqual([0, 1, 3, 7, 15, 31, 63, 123, 183, 243]);
  });

  it("counts a query heard late in a pause as its own, at most three times in a row", () => {
    const schedule = new QuerySchedule(0);
    for (let n = 0; n < 7; n += 1) schedule.sent(schedule.dueMs, 0);
    expect(schedule.dueMs).toBe(123_000);
    for (const heardMs of [100_000, 150_000, 200_000]) {
      schedule.heardSame(heardMs);
      expect(schedule.dueMs).toBe(heardMs + 60_000);
    }
    schedule.heardSame(250_000);
    expect(schedule.dueMs).toBe(260_000);
  });

  it("is not moved by its own query coming back, nor in its first second", () => {
    const schedule = new QuerySchedule(0);
    schedule.sent(0, 0);
    schedule.heardSame(900);
    expect(schedule.dueMs).toBe(1_000);
    schedule.sent(1_000, 0);
    schedule.heardSame(1_001);
    expect(schedule.dueMs).toBe(3_000);
  });
});

describe("token bucket", () => {
  it("never grants more than burst + rate x time, and grants at the time it names", () => {
    const gaps = fc.array(fc.nat(500), { maxLength: 200 });
    fc.assert(
      fc.property(gaps, fc.integer({ min: 1, max: 10 }), (waits, burst) => {
        const bucket = new TokenBucket(burst, 4);
        let nowMs = 1_000_000;
        let granted = 0;
        for (const waitMs of waits) {
          nowMs += waitMs;
          if (bucket.take(nowMs)) granted += 1;
          expect(granted).toBeLessThanOrEqual(burst + ((nowMs - 1_000_000) / 1_000) * 4 + 1e-6);
        }
        expect(bucket.take(bucket.readyAtMs(nowMs))).toBe(true);
      }),
    );
  });
});

describe("packet gate", () => {
  const packet = (name: string, counts: [number, number] = [1, 0], flags = 0): Buffer => {
    const header = Buffer.alloc(12);
    header.writeUInt16BE(flags, 2);
    header.writeUInt16BE(counts[0], 4);
    header.writeUInt16BE(counts[1], 6);
    return Buffer.concat([header, Buffer.from(name, "latin1")]);
  };
  const judge = (bytes: Buffer): string =>
    new PacketGate("node1").judge(bytes, "10.0.0.9", false, 0);

  it.each([
    ["a query of ours", packet("\x08_meshbus"), "pass"],
    ["a query for our host", packet("\x05node1"), "pass"],
    ["the meta-query", packet("\x09_services"), "pass"],
    ["somebody's printer", packet("\x08_printer"), "foreign"],
    ["another operation code", packet("\x08_meshbus", [1, 0], 0x2800), "foreign"],
    ["fewer bytes than a header", Buffer.alloc(11), "malformed"],
    ["more records than could fit", packet("\x08_meshbus", [0, 60_000]), "malformed"],
    ["more than 1,500 bytes", packet(`\x08_meshbus${"x".repeat(1_500)}`), "malformed"],
    ["nothing", Buffer.alloc(0), "malformed"],
  ])("judges %s", (_, bytes, verdict) => {
    expect(judge(bytes)).toBe(verdict);
  });

  it("refuses a long chain of name pointers, which costs the decoder quadratic time", () => {
    const chain = (links: number): Buffer => {
      const start = packet("\x08_meshbus\x00", [0, 1]);
      const pointers = Buffer.alloc(links * 2);
      for (let n = 0; n < links; n += 1) {
        const target = n === 0 ? 12 : start.length + 2 * (n - 1);
        pointers.writeUInt16BE(0xc000 | target, 2 * n);
      }
      return Buffer.concat([start, pointers]);
    };
    expect([judge(chain(20)), judge(chain(60))]).toEqual(["pass", "malformed"]);
  });

  it("passes 200 at once of one sender, 400 of all, and remembers 256 senders", () => {
    const gate = new PacketGate("node1");
    const bytes = packet("\x08_meshbus");
    let passed = 0;
    for (let n = 0; n < 1_000; n += 1) {
      if (gate.judge(bytes, "10.0.0.9", false, 0) === "pass") passed += 1;
    }
    expect(passed).toBe(200);
    for (let n = 0; n < 100_000; n += 1) {
      if (gate.judge(bytes, `10.1.${n % 1_000}.1`, false, 0) === "pass") passed += 1;
    }
    expect(passed).toBe(400);
    expect(gate.judge(bytes, "10.0.0.9", false, 5_000)).toBe("pass");
  });
});

describe("interfaces", () => {
  const row = (address: string, netmask: string, internal = false, family = "IPv4") => ({
    address,
    netmask,
    internal,
    family,
  });
  const table = {
    eth0: [row("fe80::1", "ffff::", false, "IPv6"), row("10.0.0.5", "255.255.255.0")],
    lo: [row("127.0.0.1", "255.0.0.0", true)],
    eth1: [row("192.168.1.5", "255.255.0.0"), row("172.16.0.5", "255.255.255.0")],
    ip6: [row("fd00::1", "ffff::", false, "IPv6")],
  };
  const names = (loopbackOnly: boolean, only?: string): string[] =>
    chooseInterfaces(table, loopbackOnly, only).map(({ name, address }) => `${name} ${address}`);

  it.each([
    [
      "all, loopback first",
      false,
      undefined,
      ["lo 127.0.0.1", "eth0 10.0.0.5", "eth1 192.168.1.5"],
    ],
    ["loopback only", true, undefined, ["lo 127.0.0.1"]],
    ["loopback only, whatever the option says", true, "eth0", ["lo 127.0.0.1"]],
    ["one by name", false, "eth1", ["eth1 192.168.1.5"]],
    ["one by its second address", false, "172.16.0.5", ["eth1 172.16.0.5"]],
    ["none", false, "eth9", []],
  ])("are chosen: %s", (_, loopbackOnly, only, expected) => {
    expect(names(loopbackOnly, only)).toEqual(expected);
  });

  it.each([
    ["10.0.0.200", true],
    ["10.0.1.1", false],
    ["127.0.0.1", false],
  ])("take %s as on the link: %s", (source, expected) => {
    const [eth0] = chooseInterfaces(table, false, "eth0");
    expect(eth0 && isOnLink(source, eth0)).toBe(expected);
  });
});
