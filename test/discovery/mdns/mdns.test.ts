import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import multicastDns from "multicast-dns";
import { describe, expect, it } from "vitest";
import { mdns } from "../../../src/discovery/mdns/mdns.ts";
import type { MdnsOptions } from "../../../src/discovery/mdns/mdns-options.ts";
import { staticPeers } from "../../../src/discovery/static/static-peers.ts";
import { MeshError } from "../../../src/errors.ts";
import type { Announcement } from "../../../src/ports/discovery.ts";
import { processorMs } from "../../processor-time.ts";
import { announcement, freshNodeId, Recorder } from "../discovery-recorder.ts";

/** A group of its own for each test: other programs use 5353. */
const privatePort = (): number => randomInt(20_000, 30_000);

const started = (self: Announcement, options: MdnsOptions = {}): Promise<Recorder> =>
  new Recorder(mdns(options), self).start();

const pair = (): [Announcement, Announcement] => {
  const a = announcement();
  return [a, announcement({ mesh: a.mesh, addresses: ["zmq://127.0.0.1:41235"] })];
};

describe("mdns", () => {
  it("lets two nodes find each other with id, epoch and addresses", async () => {
    const port = privatePort();
    const [selfA, selfB] = pair();
    await using a = await started(selfA, { port });
    await using b = await started(selfB, { port });
    const tookMs =
      (await a.until("a knows b", () => a.knows(selfB.nodeId))) +
      (await b.until("b knows a", () => b.knows(selfA.nodeId)));
    // The target is far lower (docs/discovery.md); this bound only catches a wait for a second query.
    expect(tookMs).toBeLessThan(900);
    expect(a.found[0]).toEqual({
      nodeId: selfB.nodeId,
      epoch: selfB.epoch,
      addresses: ["zmq://127.0.0.1:41235"],
      source: "mdns",
    });
    expect(a.problems.concat(b.problems)).toEqual([]);
  });

  it("has ten nodes, started together, all know one another", async () => {
    const port = privatePort();
    const mesh = `mesh-${freshNodeId()}`;
    const nodes = await Promise.all(
      Array.from({ length: 10 }, () => started(announcement({ mesh }), { port })),
    );
    try {
      for (const node of nodes) {
        const others = nodes.filter((other) => other !== node).map((other) => other.self.nodeId);
        await node.until("all others known", () => others.every((id) => node.knows(id)));
        expect(node.knows(node.self.nodeId)).toBe(false);
      }
    } finally {
      await Promise.all(nodes.map((node) => node.stop()));
    }
  });

  it("tells at once that a peer said goodbye", async () => {
    const port = privatePort();
    const [selfA, selfB] = pair();
    await using a = await started(selfA, { port });
    const b = await started(selfB, { port });
    await a.until("a knows b", () => a.knows(selfB.nodeId));
    await b.stop();
    const tookMs = await a.until("b is lost", () => a.lost.includes(selfB.nodeId));
    expect(tookMs).toBeLessThan(1_000);
  });

  it("finds a node again that restarted with a higher epoch", async () => {
    const port = privatePort();
    const [selfA, selfB] = pair();
    await using a = await started(selfA, { port });
    const first = await started(selfB, { port });
    await a.until("the first life is known", () => a.knows(selfB.nodeId));
    await first.stop();
    const epoch = selfB.epoch + 1;
    await using second = await started({ ...selfB, epoch }, { port });
    await a.until("the second life is known", () => a.found.some((peer) => peer.epoch === epoch));
    await second.until("it knows a", () => second.knows(selfA.nodeId));
  });

  it("keeps two meshes on one network apart", async () => {
    const port = privatePort();
    const [selfA, selfB] = pair();
    await using stranger = await started(announcement(), { port });
    await using a = await started(selfA, { port });
    await using b = await started(selfB, { port });
    // Once both directions of the one mesh work, the stranger has had the same packets.
    await a.until("a knows b", () => a.knows(selfB.nodeId));
    await b.until("b knows a", () => b.knows(selfA.nodeId));
    expect([a, b].some((node) => node.knows(stranger.self.nodeId))).toBe(false);
    expect(stranger.found).toEqual([]);
  });

  it("works beside static peers in one node", async () => {
    const port = privatePort();
    const [selfA, selfB] = pair();
    await using a = await started(selfA, { port });
    await using fixed = await new Recorder(staticPeers(["127.0.0.1:41235"]), selfA).start();
    await using _b = await started(selfB, { port });
    await a.until("mdns knows b", () => a.knows(selfB.nodeId));
    expect(fixed.found[0]).toEqual({ addresses: ["zmq://127.0.0.1:41235"], source: "static" });
    expect(a.found[0]?.source).toBe("mdns");
  });

  it("shares port 5353 with another responder and is seen by its standard DNS-SD query", async () => {
    const other = multicastDns({ interface: "127.0.0.1", bind: "0.0.0.0" });
    try {
      const [selfA, selfB] = pair();
      const seen: string[] = [];
      other.on("response", (packet) => {
        const records = [...(packet.answers ?? []), ...(packet.additionals ?? [])];
        for (const record of records) {
          if (record.type === "SRV") seen.push(`${record.name} ${record.data.port}`);
        }
      });
      await using a = await started(selfA);
      await using b = await started(selfB);
      await a.until("a knows b", () => a.knows(selfB.nodeId));
      await b.until("b knows a", () => b.knows(selfA.nodeId));
      seen.length = 0;
      other.query([{ name: "_meshbus._tcp.local", type: "PTR" }]);
      const wanted = `${selfA.nodeId}._meshbus._tcp.local 41234`;
      await a.until("the other responder sees a's SRV", () => seen.includes(wanted));
    } finally {
      await new Promise<void>((resolve) => other.destroy(resolve));
    }
  });

  it("answers a one-shot query from another port by unicast", async () => {
    const port = privatePort();
    await using a = await started(announcement(), { port });
    const simple = multicastDns({ port, bind: false, multicast: false, ip: "224.0.0.251" });
    try {
      const targets: string[] = [];
      simple.on("response", (packet) => {
        for (const record of packet.answers ?? [])
          if (record.type === "PTR") targets.push(record.data);
      });
      // Asked again until answered: the first may come before the node has joined the group.
      const asking = setInterval(() => {
        simple.query([{ name: "_meshbus._tcp.local", type: "PTR" }], {
          port,
          address: "127.0.0.1",
        });
      }, 50);
      const wanted = `${a.self.nodeId}._meshbus._tcp.local`;
      try {
        await a.until("an answer to the asking port", () => targets.includes(wanted));
      } finally {
        clearInterval(asking);
      }
    } finally {
      await new Promise<void>((resolve) => simple.destroy(resolve));
    }
  });

  it("counts another node with its own id and does not report it as a peer", async () => {
    const port = privatePort();
    const [selfA] = pair();
    await using a = await started(selfA, { port });
    await using b = await started({ ...selfA, epoch: selfA.epoch + 5 }, { port });
    await a.until("a counted it", () => (a.counts.get("discovery.duplicateId") ?? 0) > 0);
    await b.until("b counted it", () => (b.counts.get("discovery.duplicateId") ?? 0) > 0);
    expect(a.found.concat(b.found)).toEqual([]);
  });

  it("mends a goodbye that somebody forged in its name", async () => {
    const port = privatePort();
    const [selfA, selfB] = pair();
    await using a = await started(selfA, { port });
    await using b = await started(selfB, { port });
    await a.until("a knows b", () => a.knows(selfB.nodeId));
    const forger = multicastDns({ port, interface: "127.0.0.1", bind: "0.0.0.0" });
    try {
      const instance = `${selfB.nodeId}._meshbus._tcp.local`;
      const foundBefore = a.found.length;
      forger.respond([{ name: "_meshbus._tcp.local", type: "PTR", ttl: 0, data: instance }]);
      await b.until("b noticed", () => (b.counts.get("discovery.forgedGoodbye") ?? 0) > 0);
      await a.until("a finds b again", () => a.found.length > foundBefore);
      expect(a.found.at(-1)?.nodeId).toBe(selfB.nodeId);
    } finally {
      await new Promise<void>((resolve) => forger.destroy(resolve));
    }
  });

  it("survives 10,000 malformed packets on 5353 and finds peers afterwards", async () => {
    const [selfA, selfB] = pair();
    const raw = createSocket("udp4");
    await new Promise<void>((resolve) => raw.bind(0, "127.0.0.1", resolve));
    raw.setMulticastInterface("127.0.0.1");
    const flood = async (): Promise<number> => {
      const beganMs = processorMs();
      for (let n = 0; n < 10_000; n += 1) {
        await new Promise<void>((resolve) =>
          raw.send(badPacket(n), 5_353, "224.0.0.251", () => resolve()),
        );
        // The socket of the node is read in the turns between.
        if (n % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      return processorMs() - beganMs;
    };
    try {
      await flood(); // warms up
      const sendingMs = await flood();
      await using a = await started(selfA);
      const tookMs = await flood();
      await a.until("some were counted", () => (a.counts.get("discovery.malformed") ?? 0) > 100);
      expect(tookMs).toBeLessThan(10 * sendingMs); // to drop one costs no more than to send some
      await using b = await started(selfB);
      await a.until("a knows b", () => a.knows(selfB.nodeId));
      await b.until("b knows a", () => b.knows(selfA.nodeId));
      expect(a.found.every((peer) => peer.nodeId === selfB.nodeId)).toBe(true);
    } finally {
      await new Promise<void>((resolve) => raw.close(resolve));
    }
  });

  it("reports a port that another program keeps to itself, and takes it when it is free", async () => {
    const port = privatePort();
    const owner = createSocket({ type: "udp4", reuseAddr: false });
    await new Promise<void>((resolve) => owner.bind(port, "0.0.0.0", resolve));
    const [selfA, selfB] = pair();
    await using a = await started(selfA, { port, interfacePollMs: 100 });
    await a.until("the problem is told", () => a.problems.length > 0);
    expect(MeshError.is(a.problems[0], "ADDRESS_IN_USE")).toBe(true);
    await new Promise<void>((resolve) => owner.close(resolve));
    await using _b = await started(selfB, { port, interfacePollMs: 100 });
    await a.until("a knows b", () => a.knows(selfB.nodeId));
  });

  it("reports an interface that does not exist and starts all the same", async () => {
    const self = announcement({ loopbackOnly: false });
    await using a = await started(self, { port: privatePort(), interface: "nosuch0" });
    await a.until("the problem is told", () => a.problems.length > 0);
    expect(a.problems[0]?.message).toContain("nosuch0");
  });

  it.skipIf(process.platform !== "linux")(
    "opens no socket beyond loopback for a node on loopback only",
    async () => {
      const port = privatePort();
      await using a = await started(announcement(), { port });
      await using b = await started(announcement({ mesh: a.self.mesh }), { port });
      await a.until("a knows b", () => a.knows(b.self.nodeId));
      // The kernel lists group memberships by interface; two sockets of ours share the port.
      const sockets = readFileSync("/proc/net/udp", "utf8").split("\n");
      const hexPort = port.toString(16).toUpperCase().padStart(4, "0");
      const ours = sockets.filter((line) => line.includes(`:${hexPort} `));
      expect(ours.length).toBe(2);
    },
  );

  it("names every wrong option at once", () => {
    const wrong = { port: 70_000, ttlMs: 5, interface: "" };
    expect(() => mdns(wrong)).toThrow(/port 70000.*ttlMs 5|interface.*port 70000.*ttlMs 5/);
    expect(() => mdns({ ttlMs: 1_000, port: 1 })).not.toThrow();
  });

  it("stops twice, and before it was started, without complaint", async () => {
    const discovery = mdns({ port: privatePort() });
    await discovery.stop();
    const node = await new Recorder(discovery, announcement()).start();
    await Promise.all([node.stop(), node.stop()]);
    await node.stop();
  });
});

/** Five sorts of nonsense in turn, most carrying one of our names so that they get far. */
function badPacket(n: number): Buffer {
  const name = Buffer.from("\x08_meshbus\x04_tcp\x05local\x00", "latin1");
  const header = (questions: number, answers: number): Buffer => {
    const bytes = Buffer.alloc(12);
    bytes.writeUInt16BE(0x8400, 2);
    bytes.writeUInt16BE(questions, 4);
    bytes.writeUInt16BE(answers, 6);
    return bytes;
  };
  switch (n % 5) {
    case 0:
      return Buffer.from([1, 2, 3]);
    case 1:
      return Buffer.concat([header(0, 65_535), name]);
    case 2: // A record whose data runs past the end.
      return Buffer.concat([
        header(0, 1),
        name,
        Buffer.from([0, 16, 0, 1, 0, 0, 0, 9, 255, 255, 200]),
      ]);
    case 3: // A name that points to itself.
      return Buffer.concat([header(0, 1), Buffer.from([0xc0, 12]), name]);
    default: // A TXT of ours without the keys it needs.
      return Buffer.concat([
        header(0, 1),
        Buffer.from("\x01x", "latin1"),
        name,
        Buffer.from([0, 16, 0x80, 1, 0, 0, 0, 120, 0, 4, 3, 118, 61, 49]),
      ]);
  }
}
