import { describe, expect, it } from "vitest";
import { dns } from "../../../src/discovery/dns/dns.ts";
import { ownClock } from "../../own-clock.ts";
import { announcement, Recorder } from "../discovery-recorder.ts";
import { NameServer } from "./name-server.ts";

const NAME = "orders.shop.svc.cluster.local";
const SERVICE = `_mesh._tcp.${NAME}`;

const addressesOf = (node: Recorder): string[] => [
  ...new Set(node.found.flatMap(({ addresses }) => addresses)),
];

describe("dns", () => {
  it("finds every A and AAAA record of a name, and not the node itself", async () => {
    await using server = await NameServer.start();
    server.records = {
      [`A ${NAME}`]: ["10.0.0.1", "10.0.0.2"],
      [`AAAA ${NAME}`]: ["fd00::7"],
    };
    const self = announcement({ addresses: ["zmq://10.0.0.2:7400"] });
    const found = dns(NAME, { port: 7400, servers: [server.address] });
    await using node = await new Recorder(found, self).start();
    await node.until("two peers", () => node.found.length >= 2);
    expect(node.found.slice(0, 2)).toEqual([
      { addresses: ["zmq://10.0.0.1:7400"], source: "dns" },
      { addresses: ["zmq://[fd00::7]:7400"], source: "dns" },
    ]);
    expect(node.problems).toEqual([]);
  });

  it("follows SRV records to hosts and ports, by priority", async () => {
    await using server = await NameServer.start();
    server.records = {
      [`SRV ${SERVICE}`]: [
        { port: 7402, target: "b.local", priority: 2 },
        { port: 7401, target: "a.local", priority: 1 },
      ],
      "A a.local": ["10.0.0.1"],
      "A b.local": ["10.0.0.2"],
    };
    const found = dns(SERVICE, { scheme: "tcp", servers: [server.address] });
    await using node = await new Recorder(found, announcement()).start();
    await node.until("two peers", () => node.found.length >= 2);
    expect(addressesOf(node)).toEqual(["tcp://10.0.0.1:7401", "tcp://10.0.0.2:7402"]);
  });

  it("resolves again: says what is new, and what is gone", async () => {
    await using server = await NameServer.start();
    server.records = { [`A ${NAME}`]: ["10.0.0.1"] };
    const found = dns(NAME, { port: 7400, servers: [server.address] });
    await using node = await new Recorder(found, announcement()).start();
    await node.until("the first", () => node.found.length > 0);
    server.records = { [`A ${NAME}`]: ["10.0.0.2"] };
    await node.until("the second", () => addressesOf(node).includes("zmq://10.0.0.2:7400"));
    expect(node.lost).toEqual(["zmq://10.0.0.1:7400"]);
    server.records = {}; // no instance is ready: the name does not exist
    await node.until("none", () => node.lost.length === 2);
    expect(node.problems).toEqual([]);
  });

  it("keeps what it knows while servers fail, reports it once and asks on", async () => {
    await using server = await NameServer.start();
    server.records = { [`A ${NAME}`]: ["10.0.0.1"], [`AAAA ${NAME}`]: ["fd00::7"] };
    const found = dns(NAME, { port: 7400, servers: [server.address] });
    await using node = await new Recorder(found, announcement()).start();
    await node.until("both", () => addressesOf(node).length === 2);
    server.mode = "fail";
    await node.until("a problem", () => node.problems.length > 0);
    const asked = server.asked.length;
    await node.until("another round", () => server.asked.length >= asked + 4);
    expect(node.problems.map(({ code, message }) => [code, message])).toEqual([
      ["PEER_LOST", expect.stringContaining(`${NAME} could not be resolved (ESERVFAIL)`)],
    ]);
    expect(node.lost).toEqual([]);
    server.mode = "answer";
    server.records = { [`A ${NAME}`]: ["10.0.0.1"] };
    await node.until("the answer counts again", () => node.lost.length === 1);
    expect(node.lost).toEqual(["zmq://[fd00::7]:7400"]);
  });

  it("does not forget one family because the other was not answered", async () => {
    await using server = await NameServer.start();
    server.records = { [`A ${NAME}`]: ["10.0.0.1"], [`AAAA ${NAME}`]: ["fd00::7"] };
    const found = dns(NAME, { port: 7400, servers: [server.address], timeoutMs: 100 });
    await using node = await new Recorder(found, announcement()).start();
    await node.until("both", () => addressesOf(node).length === 2);
    server.mode = { silentFor: "AAAA" };
    server.records = { [`A ${NAME}`]: ["10.0.0.2"] };
    await node.until("the move", () => node.lost.length > 0);
    expect(node.lost).toEqual(["zmq://10.0.0.1:7400"]);
    expect(node.problems[0]?.message).toContain("ETIMEOUT");
  });

  it("starts at once with a server that is silent", async () => {
    await using server = await NameServer.start();
    server.mode = "silent";
    const found = dns(NAME, { port: 7400, servers: [server.address] });
    const startedMs = ownClock.monotonicMs();
    await using _node = await new Recorder(found, announcement()).start();
    expect(ownClock.monotonicMs() - startedMs).toBeLessThan(500);
  });

  it("dials nobody at addresses that are no host's", async () => {
    await using server = await NameServer.start();
    server.records = {
      [`A ${NAME}`]: ["0.0.0.0", "224.0.0.251", "255.255.255.255", "10.0.0.1"],
      [`AAAA ${NAME}`]: ["::", "ff02::fb"],
    };
    const found = dns(NAME, { port: 7400, servers: [server.address] });
    await using node = await new Recorder(found, announcement()).start();
    await node.until("the one", () => node.found.length > 0);
    expect(addressesOf(node)).toEqual(["zmq://10.0.0.1:7400"]);
  });

  it("keeps at most 1,024 addresses of a name", async () => {
    await using server = await NameServer.start();
    const targets = Array.from({ length: 40 }, (_, n) => `h${n}.local`);
    server.records = Object.fromEntries([
      [`SRV ${SERVICE}`, targets.map((target) => ({ port: 7400, target }))],
      ...targets.map((target, n) => [
        `A ${target}`,
        Array.from({ length: 30 }, (_, m) => `10.${n}.0.${m + 1}`),
      ]),
    ]);
    const found = dns(SERVICE, { servers: [server.address] });
    await using node = await new Recorder(found, announcement()).start();
    await node.until("as many as are kept", () => addressesOf(node).length >= 1_024);
    expect(addressesOf(node)).toHaveLength(1_024);
    expect(node.counts.get("discovery.dns.full")).toBeGreaterThan(0);
  });

  it.each([
    [[], {}, "0 names; 1 to 16 are possible"],
    [["a", "b c"], { port: 1 }, '"b c" is not a host name'],
    [NAME, {}, "port is missing"],
    [NAME, { port: 70_000 }, "port 70000 is not an integer from 1 to 65535"],
    [NAME, { port: 1, scheme: "no pe" }, 'scheme "no pe" is not one of'],
    [NAME, { port: 1, servers: ["dns.example"] }, 'server "dns.example" is not an IP address'],
    [NAME, { port: 1, refreshMs: 10, timeoutMs: 1 }, "refreshMs 10 is not an integer from 1000"],
  ])("refuses %j %j", (names, options, why) => {
    expect(() => dns(names, options)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTIONS", message: expect.stringContaining(why) }),
    );
  });
});
