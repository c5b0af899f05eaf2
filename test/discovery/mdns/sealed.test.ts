import { createHmac, randomBytes, randomInt } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import multicastDns from "multicast-dns";
import { describe, expect, it } from "vitest";
import { mdns } from "../../../src/discovery/mdns/mdns.ts";
import type { MdnsOptions } from "../../../src/discovery/mdns/mdns-options.ts";
import { RecordSeal, type SealedStatement } from "../../../src/discovery/mdns/record-seal.ts";
import { SealedEar } from "../../../src/discovery/mdns/sealed-ear.ts";
import type { Announcement } from "../../../src/ports/discovery.ts";
import { announcement, contextFor, freshNodeId, Recorder } from "../discovery-recorder.ts";

const privatePort = (): number => randomInt(20_000, 30_000);
const secret = (): Uint8Array => new Uint8Array(randomBytes(32));

const started = (
  self: Announcement,
  secrets: (() => readonly Uint8Array[]) | undefined,
  options: MdnsOptions,
): Promise<Recorder> => new Recorder(mdns(options), self, secrets).start();

const pair = (): [Announcement, Announcement] => {
  const a = announcement();
  return [a, announcement({ mesh: a.mesh, addresses: ["zmq://127.0.0.1:41235"] })];
};

/** All of a group's packets. */
const listener = async (port: number): Promise<{ socket: Socket; packets: Buffer[] }> => {
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  const packets: Buffer[] = [];
  socket.on("message", (bytes) => void packets.push(bytes));
  await new Promise<void>((resolve) => socket.bind(port, "0.0.0.0", resolve));
  socket.setMulticastInterface("127.0.0.1");
  socket.addMembership("224.0.0.251", "127.0.0.1");
  return { socket, packets };
};

const isAnswer = (bytes: Buffer): boolean => ((bytes[2] ?? 0) & 0x80) !== 0;

describe("mdns with keys", () => {
  it("lets members find each other, says goodbye, and shows neither mesh nor service", async () => {
    const port = privatePort();
    const shared = [secret()];
    const mesh = "bank-of-somewhere";
    const selfA = announcement({ mesh, service: "secret-orders" });
    const selfB = announcement({
      mesh,
      service: "secret-billing",
      addresses: ["tcp://127.0.0.1:9"],
    });
    const { socket, packets } = await listener(port);
    await using a = await started(selfA, () => shared, { port });
    const b = await started(selfB, () => shared, { port });
    await a.until("a knows b", () => a.knows(selfB.nodeId));
    await b.until("b knows a", () => b.knows(selfA.nodeId));
    const { nodeId, epoch } = selfB;
    expect(a.found[0]).toEqual({ nodeId, epoch, addresses: ["tcp://127.0.0.1:9"], source: "mdns" });
    await b.stop();
    await a.until("b is lost", () => a.lost.includes(nodeId));
    await new Promise<void>((resolve) => socket.close(() => resolve()));
    const all = Buffer.concat(packets).toString("latin1");
    expect(packets.filter(isAnswer).length).toBeGreaterThan(0);
    for (const told of ["bank", "secret-", `${nodeId}._meshbus`]) expect(all).not.toContain(told);
    expect(a.counts.get("discovery.forged")).toBeUndefined();
    expect(a.problems).toEqual([]);
  });

  it("is deaf to nodes without keys and with another secret, and each side says so once", async () => {
    const port = privatePort();
    const [selfA, selfB] = pair();
    const { mesh } = selfA;
    await using a = await started(selfA, () => OWN, { port });
    await using b = await started(selfB, () => OWN, { port });
    await using open = await started(announcement({ mesh }), undefined, { port });
    await using thief = await started(announcement({ mesh }), () => OTHER, { port });
    await a.until("a knows b", () => a.knows(selfB.nodeId));
    await open.until("it has heard them", () => (open.counts.get("discovery.withKeys") ?? 0) > 1);
    await a.until("it was heard", () => (a.counts.get("discovery.withoutKeys") ?? 0) > 1);
    await a.until("so was the thief", () => (a.counts.get("discovery.forged") ?? 0) > 0);
    for (const node of [a, b]) {
      expect(
        node.found.every((peer) => [selfA.nodeId, selfB.nodeId].includes(peer.nodeId ?? "")),
      ).toBe(true);
    }
    expect([...open.found, ...thief.found]).toEqual([]);
    expect(a.warned.filter((said) => said.includes("without keys"))).toHaveLength(1);
    expect(open.warned.filter((said) => said.includes("nodes with keys"))).toHaveLength(1);
  });

  it("believes no packet twice, none with a bit turned, and no goodbye of a stranger", async () => {
    const port = privatePort();
    const [selfA, selfB] = pair();
    const shared = [secret()];
    const { socket, packets } = await listener(port);
    await using a = await started(selfA, () => shared, { port });
    await using _b = await started(selfB, () => shared, { port });
    await a.until("a knows b", () => a.knows(selfB.nodeId));
    const said = packets.find((bytes) => isAnswer(bytes) && bytes.includes(selfB.nodeId)) as Buffer;
    const send = (bytes: Buffer): Promise<void> =>
      new Promise((resolve) => socket.send(bytes, port, "224.0.0.251", () => resolve()));
    await send(said);
    await a.until("counted", () => a.counts.get("discovery.replayed") === 1);
    const at = said.indexOf("epoch=");
    for (let bit = 0; bit < 8; bit++) {
      const bent = Buffer.from(said);
      bent[at + 8] = (bent[at + 8] as number) ^ (1 << bit);
      await send(bent);
    }
    await a.until("counted", () => a.counts.get("discovery.forged") === 8);
    const forger = multicastDns({ port, interface: "127.0.0.1", bind: "0.0.0.0" });
    const instance = new RecordSeal(selfA.mesh, () => shared).names.instance(selfB.nodeId);
    forger.respond([{ name: "_meshbus._tcp.local", type: "PTR", ttl: 0, data: instance }]);
    // The genuine packet with every TTL turned to zero is the same statement again.
    const gone = Buffer.from(said);
    gone.writeUInt32BE(0, gone.indexOf("\x03v=2") - 6);
    await send(gone);
    await a.until("counted", () => a.counts.get("discovery.replayed") === 2);
    expect(new Set(a.found.map(({ nodeId, addresses }) => `${nodeId} ${addresses}`)).size).toBe(1);
    expect(a.lost).toEqual([]);
    await new Promise<void>((resolve) => forger.destroy(() => resolve()));
    await new Promise<void>((resolve) => socket.close(() => resolve()));
  });

  it("goes on through a change of the secret, at every step, for who is there and who comes", async () => {
    const port = privatePort();
    const [old, next] = [secret(), secret()];
    const steps: readonly (readonly Uint8Array[])[] = [[old], [old, next], [next, old], [next]];
    const mesh = `mesh-${freshNodeId()}`;
    let atA = steps[0] as readonly Uint8Array[];
    const selfA = announcement({ mesh });
    await using a = await started(selfA, () => atA, { port, interfacePollMs: 100, ttlMs: 4_000 });
    const lasting = announcement({ mesh });
    let atLasting = atA;
    await using b = await started(lasting, () => atLasting, {
      port,
      interfacePollMs: 100,
      ttlMs: 4_000,
    });
    await a.until("they know each other", () => a.knows(lasting.nodeId) && b.knows(selfA.nodeId));
    for (const [step, secrets] of steps.entries()) {
      // One is ahead of the other by a step.
      atA = secrets;
      const [ahead, behind] = [announcement({ mesh }), announcement({ mesh })];
      const before = steps[Math.max(0, step - 1)] as readonly Uint8Array[];
      await using c = await started(ahead, () => secrets, { port });
      await using d = await started(behind, () => before, { port });
      for (const [who, other] of [
        [a, ahead],
        [a, behind],
        [b, ahead],
        [c, behind],
        [d, ahead],
        [c, selfA],
        [d, selfA],
      ] as const) {
        await who.until(`step ${step}: ${other.nodeId}`, () => who.knows(other.nodeId));
      }
      atLasting = secrets;
    }
    expect(
      [...a.lost, ...b.lost].filter((id) => [selfA.nodeId, lasting.nodeId].includes(id)),
    ).toEqual([]);
  });
});

const OWN = [secret()];
const OTHER = [secret()];

const answer = (strings: readonly string[]): Buffer => {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0x8400, 2);
  head.writeUInt16BE(1, 6);
  const text = strings.map((each) =>
    Buffer.from(`${String.fromCharCode(each.length)}${each}`, "latin1"),
  );
  return Buffer.concat([head, Buffer.from("\x08_meshbus\x04_tcp\x05local\x00", "latin1"), ...text]);
};

describe("a sealed statement", () => {
  const self = announcement({ mesh: "shop", nodeId: "0123456789abcdefghjk", epoch: 7 });
  const fixed = Uint8Array.from({ length: 32 }, (_, at) => at);
  const seal = new RecordSeal("shop", () => FIXED);
  const FIXED = [fixed];
  const body = seal.body(self, ["tcp://10.0.0.1:7400"], "10.0.0.1", 120_000);

  it("has the documented names and MAC", () => {
    const key = createHmac("sha256", fixed).update("meshbus mdns 2\0shop").digest();
    const label = createHmac("sha256", key)
      .update("instance\x000123456789abcdefghjk")
      .digest("hex");
    expect(seal.names.instance(self.nodeId)).toBe(`${label.slice(0, 32)}._meshbus._tcp.local`);
    expect(seal.names.questions).toMatchInlineSnapshot(`
      [
        "_kb560341419397959._sub._meshbus._tcp.local",
      ]
    `);
    const strings = seal.seal(body, false, 1_000);
    expect(strings).toMatchInlineSnapshot(`
      [
        "v=2",
        "id=0123456789abcdefghjk",
        "epoch=7",
        "at=10.0.0.1",
        "ttl=120",
        "a0=tcp://10.0.0.1:7400",
        "seq=1000",
        "until=121000",
        "mac=7GnRKqsTFUlweF2UtLcO4rLew6e5ZIZmPHRElriKlVo",
      ]
    `);
    const before = strings.slice(0, -1).map((text) => `${String.fromCharCode(text.length)}${text}`);
    const mac = createHmac("sha256", key).update("record\0").update(before.join("")).digest();
    expect(strings.at(-1)).toBe(`mac=${mac.toString("base64url")}`);
  });

  it("is read as it was said", () => {
    const read = seal.open(answer(seal.seal(body, true, 5_000_000))) as SealedStatement;
    expect(read).toEqual({
      nodeId: self.nodeId,
      epoch: 7,
      at: "10.0.0.1",
      sequence: 5_000_000,
      isGoodbye: true,
      ttlMs: 120_000,
      untilMs: 5_120_000,
      addresses: ["tcp://10.0.0.1:7400"],
    });
    const later = seal.open(answer(seal.seal(body, false, 4_000_000))) as SealedStatement;
    expect(later.sequence).toBe(5_000_001); // also when the clock was set back
  });

  const ear = (
    wallMs: () => number,
  ): { hear: (packet: Buffer) => string; counts: Map<string, number> } => {
    const counts = new Map<string, number>();
    const context = contextFor(announcement({ mesh: "shop" }), counts, () => FIXED);
    const clock = { ...context.clock, wallMs };
    const hearing = new SealedEar({ ...context, clock }, () => FIXED);
    return {
      counts,
      hear: (packet) => (hearing.hear(packet, "10.0.0.1", false) === undefined ? "no" : "yes"),
    };
  };

  it("is worth nothing past its end, before its time, and of an earlier life", () => {
    let nowMs = 10_000_000;
    const { hear, counts } = ear(() => nowMs);
    const packet = answer(seal.seal(body, false, nowMs));
    nowMs += 120_000 + 60_001;
    expect(hear(packet)).toBe("no");
    nowMs -= 120_000 + 60_001 + 60_001;
    expect(hear(packet)).toBe("no");
    nowMs += 60_001 + 120_000;
    expect(hear(packet)).toBe("yes");
    expect(hear(packet)).toBe("no");
    const older = body.map((text) => (text === "epoch=7" ? "epoch=6" : text));
    expect(hear(answer(seal.seal(older, false, nowMs)))).toBe("no");
    expect(counts).toEqual(
      new Map([
        ["discovery.stale", 3],
        ["discovery.replayed", 1],
      ]),
    );
  });

  it("is bounded in size, and in how many are looked at", () => {
    const nowMs = 10_000_000;
    const { hear, counts } = ear(() => nowMs);
    const packet = answer(seal.seal(body, false, nowMs));
    expect(hear(Buffer.concat([packet, Buffer.alloc(1_501 - packet.length)]))).toBe("no");
    expect(counts.get("discovery.malformed")).toBe(1);
    for (let n = 0; n < 20_000; n++) hear(answer(["v=2", `id=${n}`, `mac=${"A".repeat(43)}`]));
    // Of one remote sender 2,500 at once and 2,500 a second.
    expect(counts.get("discovery.forged")).toBeGreaterThanOrEqual(2_500);
    expect(counts.get("discovery.forged")).toBeLessThan(10_000);
    expect(counts.get("discovery.limited")).toBeGreaterThan(10_000);
  });

  it("of broken bytes is no statement and throws nothing", () => {
    const packet = answer(seal.seal(body, false, 1_000));
    for (let cut = 12; cut < packet.length; cut++) {
      const read = seal.open(packet.subarray(0, cut));
      expect(read === undefined || read === "forged").toBe(true);
    }
    for (let n = 0; n < 20_000; n++) {
      const bent = Buffer.from(packet);
      bent[45 + randomInt(packet.length - 45)] = randomInt(256);
      if (bent.equals(packet)) continue;
      const read = seal.open(bent);
      if (typeof read === "object") throw new Error(`believed: ${bent.toString("hex")}`);
    }
  });
});
