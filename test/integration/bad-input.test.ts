/** What a hostile or broken peer, or a caller's mistake, gets: an error with a name, never a dead node. */
import { randomBytes } from "node:crypto";
import { afterEach, describe, expect, it } from "vitest";
import type { ChildNode } from "./child-node.ts";
import { HUGE_FRAME, helloOf, RoguePeer, rudeClient, ZMTP_HANDSHAKE } from "./rogue-peer.ts";
import { range } from "./until.ts";
import { type World, worlds } from "./world.ts";

const world = worlds(afterEach);
const rogues: RoguePeer[] = [];
afterEach(() => {
  for (const rogue of rogues.splice(0)) rogue.end();
});

const rogueAt = (node: ChildNode): RoguePeer => {
  const rogue = new RoguePeer(node.address);
  rogues.push(rogue);
  return rogue;
};

/** A node, and a check that it serves the next peer as if nothing had happened. */
const target = async () => {
  const mesh = await world();
  const node = await mesh.start("node", { node: { handshakeMs: 500 } });
  const goesOn = (): Promise<void> => goesOnWith(mesh, node);
  return { mesh, node, goesOn };
};

const counts = (node: ChildNode, name: string): Promise<void> =>
  node.sees(`counts ${name}`, async () => (await node.counter(name)) > 0);

describe("on its port a node", () => {
  it("closes and counts other protocols, and goes on", async () => {
    const { node, goesOn } = await target();
    for (const bytes of [
      Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
      Buffer.from("160301020001000", "hex"),
      randomBytes(4_096).fill(0x41, 0, 1),
    ]) {
      const before = await node.counter("transport.malformed");
      await rudeClient(node.address, bytes);
      await node.sees("counted", async () => {
        return (await node.counter("transport.malformed")) > before;
      });
    }
    await goesOn();
  });

  it("closes and counts a frame that declares 2 GiB", async () => {
    const { node, goesOn } = await target();
    await rudeClient(node.address, ZMTP_HANDSHAKE, HUGE_FRAME);
    await counts(node, "link.notGreeted");
    await goesOn();
  });

  it("closes and counts garbage in place of a Hello", async () => {
    const { node, goesOn } = await target();
    const rogue = rogueAt(node);
    await rogue.send(Buffer.from("ffffffffffffffffffff", "hex"));
    await rogue.closed();
    await counts(node, "link.malformed");
    await goesOn();
  });

  it("closes and counts an unknown frame type in place of a Hello", async () => {
    const { node, goesOn } = await target();
    const rogue = rogueAt(node);
    await rogue.send(Buffer.from("fa0100", "hex")); // field 31, empty
    await rogue.closed();
    await counts(node, "link.malformed");
    await goesOn();
  });

  it("closes and counts a frame to be ignored in place of a Hello", async () => {
    const { node, goesOn } = await target();
    const rogue = rogueAt(node);
    await rogue.send(Buffer.from("b20400", "hex")); // field 70, empty
    await rogue.closed();
    await counts(node, "link.notHello");
    await goesOn();
  });

  it("closes and counts a connection that is too slow to introduce itself, and tells it so", async () => {
    const { node, goesOn } = await target();
    expect(await rogueAt(node).closed()).toBe("TIMEOUT");
    await counts(node, "link.notGreeted");
    await goesOn();
  });

  for (const [what, change, code] of [
    ["another protocol version", { protocolMin: 9, protocolMax: 9 }, "VERSION_MISMATCH"],
    ["another mesh", { mesh: "elsewhere" }, "WRONG_MESH"],
    ["another shard count", { shardCount: 7 }, ""],
    ["another key hash", { hashId: "crc32" }, ""],
  ] as const) {
    it(`rejects and counts a Hello with ${what}`, async () => {
      const { mesh, node, goesOn } = await target();
      const rogue = rogueAt(node);
      await rogue.send(helloOf(mesh.mesh, change));
      const said = await rogue.closed();
      if (code === "") expect(said).not.toBe("");
      else expect(said).toBe(code);
      await counts(node, `link.rejected.${said}`);
      await goesOn();
    });
  }

  it("closes and counts a session that turns to garbage", async () => {
    const { mesh, node } = await target();
    const rogue = rogueAt(node);
    await rogue.send(helloOf(mesh.mesh));
    expect(await rogue.receive("welcome")).toBeDefined();
    await rogue.send(Buffer.from("0d", "hex"));
    expect(await rogue.closed()).toBe("MALFORMED");
    await counts(node, "link.malformed");
    await node.sees("the rogue is gone", async () => {
      return (await node.peers()).every(({ state }) => state !== "alive");
    });
    const peers = await node.peers();
    expect(peers.map(({ service }) => service)).toEqual(["rogue"]);
    await goesOnWith(mesh, node);
  });

  for (const [what, body, counter, closes] of [
    [
      "closes and counts an unknown frame type that delivery may rest on",
      "fa0100",
      "malformed",
      true,
    ],
    ["closes and counts a frame without a body", "", "malformed", true],
    [
      "ignores and counts an unknown frame type that says it may be ignored",
      "b20400",
      "ignoredFrame",
      false,
    ],
  ] as const) {
    it(`${what}, in a session`, async () => {
      const { mesh, node } = await target();
      const rogue = rogueAt(node);
      await rogue.send(helloOf(mesh.mesh));
      const welcome = await rogue.receive("welcome");
      const session = Buffer.alloc(4);
      session.writeUInt32LE(welcome?.session ?? 0);
      await rogue.send(Buffer.concat([Buffer.of(0x0d), session, Buffer.from(body, "hex")]));
      await counts(node, `link.${counter}`);
      if (closes) expect(await rogue.closed()).toBe("MALFORMED");
      else expect((await node.peers()).map(({ state }) => state)).toEqual(["alive"]);
      await goesOnWith(mesh, node);
    });
  }
});

const goesOnWith = async (mesh: World, node: ChildNode): Promise<void> => {
  const friend = await mesh.start("friend");
  await mesh.link(node, friend);
  await friend.listen({ name: "news", verb: "subscribe", subject: "news" });
  await node.publish("news", 1);
  await friend.handledAll("news", [1]);
};

describe("a caller's mistake", () => {
  const rejected = async (call: Promise<unknown>, code: string): Promise<void> => {
    await expect(call).rejects.toMatchObject({ code });
  };

  it("in options names every wrong one with its range", async () => {
    const mesh = await world();
    const child = mesh.spawn("wrong");
    const options = mesh.options("wrong", {
      node: { service: "no spaces here", leaseMs: 1, limits: { peersMax: 0 } },
    });
    const error = await child.create(options).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: "INVALID_OPTIONS" });
    const { problems } = (error as { details: { problems: { option: string }[] } }).details;
    const named = problems.map(({ option }) => option);
    expect(named).toEqual(expect.arrayContaining(["service", "leaseMs", "limits.peersMax"]));
  });

  it("of listening beyond loopback without keys is refused, and allowed when told so", async () => {
    const mesh = await world();
    const listen = { host: "0.0.0.0", port: 0 };
    const child = mesh.spawn("open");
    await rejected(child.create(mesh.options("open", { node: { listen } })), "INSECURE_LISTEN");
    await child.create(mesh.options("open", { node: { listen, insecure: true } }));
  });

  it("of using an address in use, or a folder in use, is named", async () => {
    const mesh = await world();
    const first = await mesh.start("first");
    const port = Number(first.address.slice(first.address.lastIndexOf(":") + 1));
    const second = mesh.spawn("second");
    await rejected(
      second.create(mesh.options("second", { node: { listen: { port } } })),
      "ADDRESS_IN_USE",
    );
    await rejected(second.create(mesh.options("first")), "JOURNAL_LOCKED");
    await second.create(mesh.options("second")); // nothing of the failed starts is left
    await first.publish("news", 1);
  });

  it("in what is sent is named, and nothing is accepted", async () => {
    const mesh = await world();
    const node = await mesh.start("node", { node: { limits: { payloadBytesMax: 2_048 } } });
    const pad = "x".repeat(4_096);
    await rejected(
      node.call({ op: "publish", subject: "news", data: { pad } }),
      "PAYLOAD_TOO_LARGE",
    );
    await rejected(node.publish("bad subject", 1), "INVALID_SUBJECT");
    await rejected(node.publish("news.*", 1), "INVALID_SUBJECT");
    await rejected(node.publish("news", -1, { positive: true }), "SCHEMA_VIOLATION");
    await rejected(node.publish("news", 1, { options: { delayMs: -1 } }), "INVALID_OPTIONS");
    expect((await node.publish("news", 1)).position.seq).toBe(1);
  });

  it("of publishing after stop is STOPPED, and stopping twice is none", async () => {
    const mesh = await world();
    const node = await mesh.start("node");
    await node.stop();
    await rejected(node.publish("news", 1), "STOPPED");
    await rejected(node.send("do.it", 1), "STOPPED");
    await rejected(node.emit("news", 1), "STOPPED");
    await rejected(node.request("ask", 1), "STOPPED");
    await rejected(node.listen({ name: "x", verb: "subscribe", subject: "news" }), "STOPPED");
    await node.stop();
  });

  it("that only the consumer's schema sees makes a dead letter at once", async () => {
    const mesh = await world();
    const [a, b] = await Promise.all([mesh.start("a"), mesh.start("b")]);
    await mesh.link(a, b);
    const listen = { name: "news", verb: "subscribe", subject: "news", positive: true } as const;
    await b.listen({ ...listen, options: { durable: true } });
    for (const n of [1, -2, 3]) await a.publish("news", n);
    expect(await a.settled("event b news", 3)).toMatchObject({ acked: 2, dead: 1 });
    const [letter] = await a.deadLetters();
    expect(letter).toMatchObject({ attempts: 1 });
    expect(letter?.reason).toContain("SCHEMA_VIOLATION");
    expect(b.numbers("start", "news")).toEqual([1, 3]);
  });
});

describe("a full journal", () => {
  const journal = { bytesMax: 4 * 2 ** 20, lateMs: 0, lateBytes: 0 };
  const pad = "x".repeat(64 * 1024);
  const publish = (node: ChildNode, n: number): Promise<unknown> =>
    node.call({ op: "publish", subject: "news", data: { n, pad } });

  const filled = async (whenFull: "wait" | "reject") => {
    const mesh = await world();
    const [a, b] = await Promise.all([
      mesh.start("a", { node: { journal: { ...journal, whenFull } } }),
      mesh.start("b"),
    ]);
    await mesh.link(a, b);
    const listen = { name: "news", verb: "subscribe", subject: "news" } as const;
    await b.listen({ ...listen, options: { durable: true } });
    await b.stop();
    await b.kill();
    const back = async (): Promise<ChildNode> => {
      const again = await mesh.start("b");
      await mesh.link(a, again);
      await again.listen({ ...listen, options: { durable: true } });
      return again;
    };
    return { a, back };
  };
  /** Every message that was accepted ended in one way or the other. */
  const addsUp = async (a: ChildNode, accepted: number): Promise<void> => {
    const counts = await a.settled("event b news", accepted);
    expect(counts.acked + counts.expired).toBe(accepted);
  };

  it('rejects with JOURNAL_FULL when told "reject", and takes more when there is room', async () => {
    const { a, back } = await filled("reject");
    const outcomes = await Promise.allSettled(range(0, 90).map((n) => publish(a, n)));
    const failed = outcomes.filter((outcome) => outcome.status === "rejected");
    expect(failed.length).toBeGreaterThan(10);
    for (const { reason } of failed) expect(reason).toMatchObject({ code: "JOURNAL_FULL" });
    const accepted = outcomes.length - failed.length;
    await back();
    await addsUp(a, accepted);
    await a.sees("room again", async () => {
      return publish(a, 100).then(
        () => true,
        () => false,
      );
    });
    await addsUp(a, accepted + 1);
  });

  it('waits when told "wait", and every call resolves once there is room', async () => {
    const { a, back } = await filled("wait");
    let resolved = 0;
    const calls = range(0, 90).map((n) => publish(a, n).then(() => resolved++));
    await a.sees("as many as fit are accepted", () => resolved > 30);
    await back();
    await Promise.all(calls);
    await addsUp(a, 90);
  });
});
