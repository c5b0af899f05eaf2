/** How nodes meet, part and stay apart. */
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { ChildNode } from "./child-node.ts";
import { range } from "./until.ts";
import { worlds } from "./world.ts";

const world = worlds(afterEach);
const stateOf = async (node: ChildNode, other: ChildNode): Promise<string> =>
  (await node.peers()).find(({ nodeId }) => nodeId === other.id)?.state ?? "unknown";

describe("nodes", () => {
  it("of one mesh find each other by mDNS, those of another mesh do not", async () => {
    const [mesh, other] = await Promise.all([world(), world()]);
    const mdns = { mdns: true };
    const [a1, a2, b1, b2] = await Promise.all([
      mesh.start("a1", mdns),
      mesh.start("a2", mdns),
      other.start("b1", mdns),
      other.start("b2", mdns),
    ]);
    await Promise.all([a1.meets(a2), a2.meets(a1), b1.meets(b2), b2.meets(b1)]);
    for (const listener of [a2, b2]) {
      await listener.listen({ name: "news", verb: "subscribe", subject: "news" });
    }
    await a1.publish("news", 1);
    await b1.publish("news", 2);
    await Promise.all([a2.handledAll("news", [1]), b2.handledAll("news", [2])]);
    expect(a2.numbers("end", "news")).toEqual([1]);
    expect(b2.numbers("end", "news")).toEqual([2]);
    for (const node of [a1, a2, b1, b2]) expect(await node.peers()).toHaveLength(1);
  });

  it("of two meshes refuse each other also when one dials", async () => {
    const [mesh, other] = await Promise.all([world(), world()]);
    const [a, b] = await Promise.all([mesh.start("a"), other.start("b")]);
    await b.call({ op: "connect", address: a.address });
    await b.sees("the refusal", () => {
      return b.happened("status", "link-refused")[0]?.change?.code === "WRONG_MESH";
    });
    expect(await a.peers()).toEqual([]);
    expect(await b.peers()).toEqual([]);
  });

  it("find each other by mDNS and by static address at once", async () => {
    const mesh = await world();
    const [fixed, cast] = await Promise.all([
      mesh.start("fixed"),
      mesh.start("cast", { mdns: true }),
    ]);
    const both = await mesh.start("both", { mdns: true, peers: [fixed.address, cast.address] });
    await Promise.all([both.meets(fixed), both.meets(cast), fixed.meets(both), cast.meets(both)]);
    expect(await both.peers()).toHaveLength(2);
    await Promise.all([fixed.meets(cast), cast.meets(fixed)]); // of whom both told them
  });

  it("that listen on every interface, over ZeroMQ, hear of each other from a seed that did not dial them", async () => {
    const mesh = await world();
    const node = { listen: { host: "0.0.0.0" }, insecure: true };
    const seed = await mesh.start("seed", { node });
    const port = seed.address.slice(seed.address.lastIndexOf(":"));
    const setup = { node, peers: [`zmq://127.0.0.1${port}`] };
    const [a, b] = await Promise.all([mesh.start("a", setup), mesh.start("b", setup)]);
    await Promise.all([a.meets(b), b.meets(a)]);
    for (const { address, addresses } of [seed, a, b]) {
      expect(address).toMatch(/^zmq:\/\/0\.0\.0\.0:/);
      expect(addresses.length).toBeGreaterThan(1);
    }
  });

  it("take nobody at an address used again for who was there, and find that one elsewhere", async () => {
    const mesh = await world();
    const at = (node: ChildNode) => ({
      host: "127.0.0.1",
      port: Number(node.address.slice(node.address.lastIndexOf(":") + 1)),
    });
    const [a, was] = [await mesh.start("a"), await mesh.start("was")];
    await mesh.link(a, was);
    await was.listen({
      name: "news",
      verb: "subscribe",
      subject: "news",
      options: { durable: true },
    });
    await was.kill();
    await a.publish("news", 1);
    const other = await mesh.start("other", { node: { listen: at(was) } });
    expect(other.address).toBe(was.address);
    await a.sees("somebody else is there", async () => {
      return (await a.counter("link.refused.WRONG_TARGET")) > 0;
    });
    const back = await mesh.start("was", { peers: [a.address] });
    expect(back.id).toBe(was.id);
    await a.meets(back);
    await back.listen({
      name: "news",
      verb: "subscribe",
      subject: "news",
      options: { durable: true },
    });
    await back.handledAll("news", [1]);
    expect(other.events.filter(({ event }) => event === "end")).toEqual([]);
  });

  it("that know one seed find each other, and again without it after all of them were down", async () => {
    const mesh = await world();
    const names = ["a", "b", "c"] as const;
    const seed = await mesh.start("seed");
    const first = await Promise.all(
      names.map((name) => mesh.start(name, { peers: [seed.address] })),
    );
    const meetAll = (nodes: readonly ChildNode[]) =>
      Promise.all(nodes.flatMap((a) => nodes.filter((b) => b !== a).map((b) => a.meets(b))));
    await meetAll([seed, ...first]);
    const ports = first.map(({ address }) => Number(address.slice(address.lastIndexOf(":") + 1)));
    await Promise.all([seed.kill(), ...first.map((node) => node.kill())]);
    const again = await Promise.all(
      names.map((name, at) => mesh.start(name, { node: { listen: { port: ports[at] ?? 0 } } })),
    );
    await meetAll(again);
    expect(again.map(({ id }) => id)).toEqual(first.map(({ id }) => id));
  });

  it("go on when a static peer cannot be reached, and link when it comes", async () => {
    const mesh = await world();
    const early = await mesh.start("early");
    const { address } = early;
    await early.stop();
    await early.kill();
    const a = await mesh.start("a", { peers: [address] });
    await a.sees("a dial failed", async () => (await a.counter("link.dialFailed")) > 0);
    await a.publish("news", 1);
    const port = Number(address.slice(address.lastIndexOf(":") + 1));
    const late = await mesh.start("late", { node: { listen: { port } } });
    await a.meets(late);
  });

  it("that stop say goodbye, those that are killed are found dead", async () => {
    const mesh = await world();
    const [a, b, c] = await Promise.all([mesh.start("a"), mesh.start("b"), mesh.start("c")]);
    await mesh.link(a, b, c);
    await b.stop();
    await a.sees("b left", async () => (await stateOf(a, b)) === "left");
    await c.kill();
    await a.sees("c is dead", async () => (await stateOf(a, c)) === "dead");
    expect(a.happened("status", "peer-dead").map(({ change }) => change?.nodeId)).toEqual([c.id]);
  });

  it("that stop hand their work to the others at once and leave nothing pending", async () => {
    const mesh = await world();
    const [a, b1, b2] = await Promise.all([mesh.start("a"), mesh.start("b1"), mesh.start("b2")]);
    await mesh.link(a, b1, b2);
    for (const member of [b1, b2]) {
      const options = { group: "work", durable: true, concurrency: 2 };
      const behaviour = [{ type: "slow", ms: 10 }] as const;
      const listen = { name: "work", verb: "subscribe", subject: "task.set" } as const;
      await member.listen({ ...listen, options, behaviour });
    }
    const numbers = range(0, 120);
    await Promise.all(numbers.map((n) => a.publish("task.set", n, { options: { key: `k${n}` } })));
    await b1.sees("it works", () => b1.numbers("end", "work").length > 2);
    expect(await b1.stop()).toMatchObject({ pending: 0, unrouted: 0 });
    expect(await a.settled("event work task.set", 120)).toMatchObject({ acked: 120 });
    await Promise.all([b1.kill(), b2.call({ op: "info" })]);
    const handled = [...b1.numbers("end", "work"), ...b2.numbers("end", "work")];
    expect(handled.sort((x, y) => x - y)).toEqual(numbers);
    expect(await a.stop()).toMatchObject({ pending: 0 });
  });

  it("with a copied data folder are told apart: the later one is refused, and the first goes on", async () => {
    const mesh = await world();
    const first = await mesh.start("node");
    const watcher = await mesh.start("watcher");
    await mesh.link(first, watcher);
    await first.stop();
    await first.kill();
    await cp(join(mesh.folder, "node"), join(mesh.folder, "copy"), { recursive: true });
    const again = await mesh.start("node");
    await mesh.link(again, watcher);
    const copy = await mesh.start("copy");
    expect(copy.id).toBe(again.id);
    await copy.call({ op: "connect", address: watcher.address });
    const refused = (): boolean =>
      copy.happened("status", "link-refused")[0]?.change?.code === "DUPLICATE_NODE";
    await copy.sees("the refusal", refused);
    expect(await stateOf(watcher, again)).toBe("alive");
    expect(await again.counter("epoch.jumped")).toBe(0);
    await again.kill();
    await copy.meets(watcher);
  });
});
