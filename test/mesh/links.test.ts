import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { MeshNode } from "../../src/index.ts";
import type { Discovery, DiscoveryEvents } from "../../src/ports/discovery.ts";
import { Link } from "../../src/runtime/link/link.ts";
import { memoryTransport } from "../../src/transport/memory/memory-transport.ts";
import { decodeFrame, encodeFrame } from "../../src/wire/frames.ts";
import { TestMesh } from "./test-mesh.ts";
import { TestStore } from "./test-store.ts";

let mesh: TestMesh;
beforeEach(() => {
  mesh = new TestMesh();
});
afterEach(() => mesh.stop());

const stateOf = (node: MeshNode, other: MeshNode): string | undefined =>
  node.peers().find(({ nodeId }) => nodeId === other.id)?.state;

const at = (address: string): Discovery => ({
  name: "static",
  async start(_, events) {
    events.found({ addresses: [address], source: "static" });
  },
  async stop() {},
});

describe("a link", () => {
  it("outlives a process that stood still longer than silenceMs, and so does the node's own", async () => {
    const [a, b] = [await mesh.node("a"), await mesh.node("b")];
    await mesh.linked();
    let handled = 0;
    await mesh.clock.run(a.subscribe("x.y", () => void handled++));
    const changes: string[] = [];
    const reader = (async () => {
      for await (const { type } of a.status()) if (type === "peer-down") changes.push(type);
    })();
    mesh.clock.stall(60_000);
    await mesh.clock.advance(1_000);
    expect([stateOf(a, b), stateOf(b, a)]).toEqual(["alive", "alive"]);
    expect(changes).toEqual([]);
    await mesh.clock.run(a.publish("x.y", {}));
    await mesh.clock.run(b.publish("x.y", {}));
    await mesh.clock.until(() => handled === 2);
    await mesh.stop();
    await reader;
  });

  it("comes back when it is the node's own, whatever ended it, but not at once", async () => {
    const started = vi.spyOn(Link.prototype, "startLocal"); // runs as it is
    const a = await mesh.node("a");
    const handled: number[] = [];
    await mesh.clock.run(a.subscribe("x.y", (_, ctx) => void handled.push(ctx.message.attempt)));
    const own = started.mock.contexts[0] as Link;
    own.close("MALFORMED", "as after a fault");
    await mesh.clock.run(a.publish("x.y", {}, { key: "k" }));
    await mesh.clock.advance(200);
    expect(handled).toEqual([]);
    await mesh.clock.until(() => handled.length === 1);
    await mesh.clock.advance(10_000); // longer than any lease
    await mesh.clock.run(a.publish("x.y", {}, { key: "k" }));
    await mesh.clock.until(() => handled.length === 2);
    expect(handled).toEqual([1, 1]);
    expect(started).toHaveBeenCalledTimes(2);
    await mesh.stop();
    await mesh.clock.advance(10_000);
    expect(started).toHaveBeenCalledTimes(2);
    started.mockRestore();
  });

  it("is one when both sides dial, whatever they dial", async () => {
    const nodes = [await mesh.node("a"), await mesh.node("b"), await mesh.node("c")];
    await mesh.linked();
    const [first] = nodes as [MeshNode, ...MeshNode[]];
    const ups: string[] = [];
    const reader = (async () => {
      for await (const change of first.status())
        if (change.type === "peer-up") ups.push(change.type);
    })();
    await mesh.clock.advance(60_000);
    expect(ups).toEqual([]); // nothing flaps
    await mesh.stop();
    await reader;
  });
});

describe("a peer that said goodbye", () => {
  it("is not dialled any more where a discovery named it", async () => {
    const [a, b] = [await mesh.node("a"), await mesh.node("b")];
    await mesh.linked();
    await mesh.clock.run(b.stop());
    await mesh.clock.advance(600_000);
    expect(stateOf(a, b)).toBe("left");
    expect(a.counters()["link.dialFailed"] ?? 0).toBeLessThan(2);
  });

  it("is dialled for ever where the operator named its address, whoever lives there next", async () => {
    const listen = { port: 7_000 };
    const first = await mesh.node("there", { discovery: [], listen });
    const a = await mesh.node("a", { discovery: [at("mem://127.0.0.1:7000")] });
    await mesh.linked();
    await mesh.clock.run(first.stop());
    await mesh.clock.advance(600_000);
    const next = await mesh.node("there", { discovery: [], listen });
    await mesh.clock.until(() => stateOf(a, next) === "alive");
    expect(next.id).not.toBe(first.id);
  });
});

describe("a node that is sent on", () => {
  it("believes it once, asks only whom it was sent to, and is in no hurry where that leads nowhere", async () => {
    const other = await mesh.node("other", { discovery: [] });
    const hellos: { redirect: boolean; target: string }[] = [];
    const liar = memoryTransport(mesh.network);
    const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
    const { clock } = mesh;
    await liar.start({ clock, logger: quiet, frameBytesMax: 2 ** 20, count: () => {} });
    const { address } = await liar.listen({ host: "127.0.0.1", port: 0 }, (connection) => {
      const frame = (bytes: Uint8Array): void => {
        const hello = decodeFrame(bytes);
        if (hello.type !== "hello") return;
        hellos.push({ redirect: hello.redirect, target: hello.targetNodeId });
        const addresses = Array.from({ length: 500 }, (_, at) => `mem://127.0.0.1:${at + 1}`);
        const better = { addresses: [...other.addresses, ...addresses], nodeId: "n0b0dy" };
        const reject = { type: "reject", session: 0, code: "BETTER_ADDRESS", message: "" } as const;
        connection.send(encodeFrame({ ...reject, ...better }));
        connection.close();
      };
      connection.open({ frame, drained: () => {}, closed: () => {} });
    });
    const a = await mesh.node("a", { discovery: [at(address)] });
    await clock.advance(60_000);
    expect(hellos[0]).toEqual({ redirect: true, target: "" });
    // From then on what is known must do, until there has been a link.
    expect(new Set(hellos.slice(1).map(({ redirect }) => redirect))).toEqual(new Set([false]));
    expect(hellos.length).toBeGreaterThan(5);
    expect(hellos.length).toBeLessThan(40);
    expect(stateOf(a, other)).toBeUndefined();
    await clock.run(liar.stop());
  });
});

/** A discovery that says what the test says. */
class Told implements Discovery {
  readonly name = "told";
  #events: DiscoveryEvents | undefined;

  async start(_: unknown, events: DiscoveryEvents): Promise<void> {
    this.#events = events;
  }

  async stop(): Promise<void> {}

  say(node: MeshNode, addresses: readonly string[]): void {
    this.#events?.found({ nodeId: node.id, addresses, source: this.name });
  }
}

describe("a peer whose address was wrong", () => {
  it("is dialled at the right one, although the wrong one was being dialled when that came", async () => {
    const b = await mesh.node("b", { discovery: [] });
    const silent = memoryTransport(mesh.network);
    const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
    const { clock } = mesh;
    await silent.start({ clock, logger: quiet, frameBytesMax: 2 ** 20, count: () => {} });
    const nobody = await silent.listen({ host: "127.0.0.1", port: 0 }, (connection) => {
      connection.open({ frame: () => {}, drained: () => {}, closed: () => {} });
    });
    const told = new Told();
    const a = await mesh.node("a", { discovery: [told] });
    told.say(b, [nobody.address]);
    await clock.advance(100);
    told.say(b, b.addresses);
    await clock.until(() => stateOf(a, b) === "alive", 20_000);
  });

  it("is dialled at the right one, although another node that was met lives at the wrong one", async () => {
    const [b, c] = [
      await mesh.node("b", { discovery: [] }),
      await mesh.node("c", { discovery: [] }),
    ];
    const told = new Told();
    const a = await mesh.node("a", { discovery: [told] });
    told.say(b, c.addresses);
    told.say(c, c.addresses);
    await mesh.clock.until(() => stateOf(a, c) === "alive");
    told.say(b, b.addresses);
    await mesh.clock.until(() => stateOf(a, b) === "alive", 20_000);
  });
});

describe("a node that comes back", () => {
  it("is a new life: what its earlier one had goes on, once", async () => {
    const says = await mesh.node("says");
    const store = await TestStore.open();
    const first = await mesh.node("hears", { store });
    await mesh.linked();
    const seen: number[] = [];
    const hold = new Promise<void>(() => {});
    await mesh.clock.run(first.subscribe("x.y", () => hold, { durable: true }));
    for (let n = 0; n < 5; n++) await mesh.clock.run(says.publish("x.y", n, { key: "k" }));
    await mesh.clock.settle();
    const next = store.crash();
    await mesh.clock.run(first.stop({ drainMs: 0 }));
    const second = await mesh.node("hears", { store: next });
    await mesh.clock.run(
      second.subscribe("x.y", (n) => void seen.push(n as number), { durable: true }),
    );
    await mesh.clock.until(() => seen.length === 5);
    expect(seen).toEqual([0, 1, 2, 3, 4]);
    await mesh.clock.advance(5_000);
    expect(Object.values(says.ledger())[0]).toMatchObject({ accepted: 5, acked: 5, pending: 0 });
  });
});

describe("emit", () => {
  it("says why nobody took it, and respects the filter of a subscription", async () => {
    const [a, b] = [await mesh.node("a"), await mesh.node("b")];
    await mesh.linked();
    expect(a.emit("x.y", {})).toBe(false);
    expect(a.counters()["emit.dropped.noSubscriber"]).toBe(1);
    const got: unknown[] = [];
    const filter = { headers: { region: "eu" } };
    await mesh.clock.run(b.subscribe("x.y", (data) => void got.push(data), { filter }));
    expect(a.emit("x.y", "us", { headers: { region: "us" } })).toBe(false);
    expect(a.emit("x.y", "eu", { headers: { region: "eu" } })).toBe(true);
    await mesh.clock.settle();
    expect(got).toEqual(["eu"]);
  });

  it("lets out what its handler sends", async () => {
    const a = await mesh.node("a");
    const out: unknown[] = [];
    await mesh.clock.run(a.subscribe("out.put", (data) => void out.push(data)));
    await mesh.clock.run(a.subscribe("x.y", (_, ctx) => ctx.publish("out.put", 1)));
    a.emit("x.y", {});
    await mesh.clock.until(() => out.length === 1);
  });
});

describe("a subscription", () => {
  it("that is removed is gone when the call returns, and what waited is abandoned and counted", async () => {
    const node = await mesh.node("a");
    const subscription = await mesh.clock.run(
      node.subscribe("x.y", () => {}, { durable: true, group: "g" }),
    );
    await mesh.clock.run(subscription.stop());
    await mesh.clock.run(node.publish("x.y", {}));
    await mesh.clock.run(node.removeSubscription("g", "x.y"));
    expect(node.ledger()).toEqual({});
    expect(node.counters()["messages.abandoned"]).toBe(1);
  });

  it("that is stopped while tries wait in place ends at once, and gives them back", async () => {
    const [a, b] = [await mesh.node("a"), await mesh.node("b")];
    await mesh.linked();
    let tries = 0;
    const failing = (): void => {
      tries++;
      throw new Error("never");
    };
    const retry = { attempts: 100, baseMs: 900, capMs: 900 };
    const options = { durable: true, retry } as const;
    const subscription = await mesh.clock.run(b.subscribe("x.y", failing, options));
    await mesh.clock.run(a.publish("x.y", {}, { key: "k" }));
    await mesh.clock.until(() => tries > 0);
    subscription.pause();
    const before = mesh.clock.monotonicMs();
    await mesh.clock.run(subscription.stop());
    expect(mesh.clock.monotonicMs() - before).toBeLessThan(100);
    const done = tries;
    await mesh.clock.advance(10_000);
    expect(tries).toBe(done);
    expect(Object.values(a.ledger())[0]).toMatchObject({ accepted: 1, pending: 1 });
  });
});

describe("a subscription heard of late", () => {
  it("gets what came due after its birth, although it was written before", async () => {
    let meet: DiscoveryEvents | undefined;
    const later: Discovery = {
      name: "later",
      async start(_, events) {
        meet = events;
      },
      async stop() {},
    };
    const says = await mesh.node("says", { discovery: [] });
    const hears = await mesh.node("hears", { discovery: [later] });
    await mesh.clock.run(says.publish("x.y", "before"));
    await mesh.clock.run(says.publish("x.y", "late", { delayMs: 10_000 }));
    await mesh.clock.advance(5_000);
    const got: unknown[] = [];
    await mesh.clock.run(hears.subscribe("x.y", (data) => void got.push(data), { durable: true }));
    await mesh.clock.advance(10_000);
    meet?.found({ addresses: says.addresses, source: "later" });
    await mesh.linked();
    await mesh.clock.advance(1_000);
    expect(got).toEqual(["late"]);
  });
});
