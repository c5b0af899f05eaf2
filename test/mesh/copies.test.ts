import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { MeshNode } from "../../src/index.ts";
import type { Discovery } from "../../src/ports/discovery.ts";
import { RawPeer } from "./raw-peer.ts";
import { TestMesh, type TestNodeOptions } from "./test-mesh.ts";
import { TestStore } from "./test-store.ts";

const PORT = 7_000;
const ADDRESS = `mem://127.0.0.1:${PORT}`;

let mesh: TestMesh;
let seen: unknown[];
beforeEach(() => {
  mesh = new TestMesh();
  seen = [];
});
afterEach(() => mesh.stop());

const dials: Discovery = {
  name: "static",
  async start(_, events) {
    events.found({ addresses: [ADDRESS], source: "static" });
  },
  async stop() {},
};

/** It sees nobody, and is seen at `ADDRESS`. */
const there = (service: string, options: TestNodeOptions = {}): Promise<MeshNode> =>
  mesh.node(service, { discovery: [], listen: { port: PORT }, ...options });

/** It dials who is there. */
const here = (service: string, store: TestStore): Promise<MeshNode> =>
  mesh.node(service, { discovery: [dials], store });

const hear = (node: MeshNode) => {
  const see = (data: unknown): void => void seen.push(data);
  return mesh.clock.run(node.subscribe("x.y", see, { durable: true }));
};

const say = async (node: MeshNode, ...words: readonly string[]): Promise<void> => {
  for (const word of words) await mesh.clock.run(node.publish("x.y", word));
};

const gone = async (node: MeshNode): Promise<void> => {
  await mesh.clock.run(node.stop({ drainMs: 0 }));
  await mesh.clock.advance(2_000); // what starts next does so in a later second
};

const count = (node: MeshNode, name: string): number => node.counters()[name] ?? 0;

describe("a folder whose copy was at work meanwhile", () => {
  it("loses nothing that it had accepted, although it comes back with the highest epoch", async () => {
    const hears = await there("hears");
    const subscription = await hear(hears);
    const store = await TestStore.open();
    const first = await here("says", store);
    await mesh.linked(first, hears);
    await say(first, "before");
    await mesh.clock.until(() => seen.length === 1);
    const image = await store.copy();
    subscription.pause();
    await mesh.clock.advance(1_000);
    await say(first, "mine");
    const rest = store.crash();
    await gone(first);

    subscription.resume();
    const copy = await here("says", image);
    await mesh.linked(copy, hears);
    await say(copy, "theirs");
    await mesh.clock.until(() => seen.includes("theirs"));
    await mesh.clock.advance(1_000);
    await say(copy, "theirs too"); // it states how far the first is settled
    await mesh.clock.until(() => seen.includes("theirs too"));
    await gone(copy);

    await here("says", rest);
    await mesh.clock.until(() => seen.includes("mine"));
  });

  it("hears of it also from a node that dials it by its address, and has restarted", async () => {
    const earlier = await TestStore.open();
    const first = await there("says", { store: earlier });
    const hearsStore = await TestStore.open();
    const hears = await here("hears", hearsStore);
    await hear(hears);
    await mesh.linked(first, hears);
    await say(first, "before");
    await mesh.clock.until(() => seen.length === 1);
    await mesh.clock.advance(1_000);
    const image = await earlier.copy();
    await gone(first);

    // The copy works alone, the folder amid others.
    const alone = await mesh.node("says", { discovery: [], store: image });
    await say(alone, "mine");
    await gone(alone);
    const again = await there("says", { store: earlier.crash() });
    await mesh.linked(again, hears);
    await say(again, "theirs");
    await mesh.clock.advance(1_000);
    await say(again, "theirs too");
    await mesh.clock.until(() => seen.includes("theirs too"));
    await gone(again);
    await gone(hears);

    await there("says", { store: image.crash() });
    await hear(await here("hears", hearsStore.crash()));
    await mesh.clock.until(() => seen.includes("mine"));
  });
});

describe("two live nodes on copies of one folder", () => {
  it("do not take the link from one another: the later is refused until the earlier is gone", async () => {
    const hears = await there("hears");
    await hear(hears);
    const store = await TestStore.open();
    const first = await here("says", store);
    await mesh.linked(first, hears);
    const image = await store.copy();
    await mesh.clock.advance(2_000);
    const copy = await here("says", image);
    await mesh.clock.advance(60_000);
    expect(count(copy, "link.refused.DUPLICATE_NODE")).toBeGreaterThan(3);
    expect(count(hears, "link.rejected.DUPLICATE_NODE")).toBeGreaterThan(3);
    await say(first, "mine");
    await say(copy, "theirs");
    await mesh.clock.advance(1_000);
    expect(seen).toEqual(["mine"]);
    await mesh.clock.run(first.stop({ drainMs: 0 }));
    await mesh.clock.until(() => seen.length === 2, 10_000);
    expect(seen).toEqual(["mine", "theirs"]);
    expect([first, copy].map((node) => count(node, "epoch.jumped"))).toEqual([0, 0]);
    expect(count(hears, "inbox.forgotten")).toBe(0);
  });
});

const dial = (epoch: number, nonce: number) =>
  RawPeer.dial(mesh, ADDRESS, {
    nodeId: "raw",
    identity: { epoch, nonce: new Uint8Array(16).fill(nonce) },
  });

const ping = (peer: RawPeer, echo = 0): void => {
  const time = { ms: 0, counter: 0 };
  peer.send({ type: "ping", session: peer.session, id: 1, echo, time, tails: [], credits: [] });
};

describe("a peer that comes with a new start", () => {
  it("gets the link of one that has been silent for two heartbeats since, and not before", async () => {
    await there("a");
    const silent = await dial(5, 1);
    ping(silent);
    await mesh.clock.advance(1_000);
    const codes: (string | undefined)[] = [];
    for (let times = 0; times < 3; times++) {
      const fresh = await dial(6, 2);
      codes.push(fresh.of("reject")[0]?.code);
      await mesh.clock.advance(250);
    }
    expect(codes).toEqual(["ALREADY_LINKED", "ALREADY_LINKED", undefined]);
    expect(silent.closed).toBe(true);
  });

  it("does not get that of one that is heard and has not answered yet", async () => {
    await there("a");
    const slow = await dial(5, 1);
    for (let times = 0; times < 8; times++) {
      ping(slow, 1);
      await mesh.clock.advance(250);
      expect((await dial(6, 2)).of("reject")[0]?.code).toBe("ALREADY_LINKED");
    }
    expect(slow.closed).toBe(false);
  });

  it("is not called a duplicate for what was answered before it came", async () => {
    await there("a");
    const first = await dial(5, 1);
    await mesh.clock.advance(1_000);
    ping(first, first.of("ping").at(-1)?.id);
    await mesh.clock.settle();
    const codes = [(await dial(6, 2)).of("reject")[0]?.code];
    ping(first, first.of("ping").at(-1)?.id);
    codes.push((await dial(6, 2)).of("reject")[0]?.code);
    await mesh.clock.advance(300);
    ping(first, first.of("ping").at(-1)?.id);
    await mesh.clock.settle();
    codes.push((await dial(6, 2)).of("reject")[0]?.code);
    expect(codes).toEqual(["ALREADY_LINKED", "ALREADY_LINKED", "DUPLICATE_NODE"]);
  });

  it("is not taken for known before it has heard what is known of it", async () => {
    await there("a");
    const told = (peer: RawPeer): number | undefined => peer.of("welcome")[0]?.knownEpoch;
    const first = await dial(5, 1);
    ping(first);
    await mesh.clock.settle();
    first.cut();
    await mesh.clock.settle();
    const deaf = await dial(7, 2); // the Welcome is lost, for all that is known
    deaf.cut();
    await mesh.clock.settle();
    const next = await dial(9, 3);
    expect([first, deaf, next].map(told)).toEqual([0, 5, 5]);
    ping(next);
    await mesh.clock.settle();
    next.cut();
    await mesh.clock.settle();
    expect(told(await dial(10, 4))).toBe(9);
  });
});
