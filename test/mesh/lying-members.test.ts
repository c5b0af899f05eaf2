/** What a member says of others may be wrong, old or a lie: what it costs, and what it cannot do. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Claim } from "../../src/core/swim/claim.ts";
import { swimMessage } from "../../src/core/swim/swim-message.ts";
import type { MeshNode } from "../../src/index.ts";
import type { NodeOptions } from "../../src/options/node-options.ts";
import { GOSSIP_FEATURE } from "../../src/runtime/membership.ts";
import type { Identity } from "../../src/wire/handshake.ts";
import { RawPeer } from "./raw-peer.ts";
import { TestMesh } from "./test-mesh.ts";

const TAKES_GOSSIP: Partial<Identity> = { features: GOSSIP_FEATURE };

let mesh: TestMesh;
beforeEach(() => {
  mesh = new TestMesh();
});
afterEach(() => mesh.stop());

/** Two nodes that are linked, and a liar that is linked with the first. */
const scene = async (options: Partial<NodeOptions> = {}) => {
  const a = await mesh.node("a", options);
  const b = await mesh.node("b", options);
  await mesh.linked(a, b);
  const liar = await dial(a, "liar");
  const changes: string[] = [];
  void (async () => {
    for await (const change of a.status()) {
      if ("service" in change && change.service === "b") changes.push(change.type);
    }
  })();
  return { a, b, liar, changes };
};

const dial = (to: MeshNode, nodeId: string, identity = TAKES_GOSSIP): Promise<RawPeer> =>
  RawPeer.dial(mesh, to.addresses[0] ?? "", { nodeId, identity });

const tell = (from: RawPeer, ...claims: readonly Partial<Claim>[]): void => {
  const whole = claims.map((one) => ({ ...CLAIM, ...one }));
  from.send({ type: "gossip", session: from.session, ...swimMessage("news", {}, whole) });
};
const CLAIM: Claim = { id: "", epoch: 1, incarnation: 0, vouch: 0, state: "alive", accuser: "" };

const peerOf = (node: MeshNode, of: MeshNode) =>
  node.peers().find(({ nodeId }) => nodeId === of.id);
const epochOf = (node: MeshNode, seenBy: MeshNode): number => peerOf(seenBy, node)?.epoch ?? 0;

describe("a death that is a lie", () => {
  it.each(["suspect", "dead", "left"] as const)(
    "is refuted by the member that is called %s, and no link of it is dropped",
    async (state) => {
      const { a, b, liar, changes } = await scene();
      tell(liar, { id: b.id, epoch: epochOf(b, a), incarnation: 5, state, accuser: "liar" });
      await mesh.clock.until(() => peerOf(a, b)?.membership === state);
      expect(peerOf(a, b)).toMatchObject({ state: "alive" });
      await mesh.clock.until(() => peerOf(a, b)?.membership === "alive");
      await mesh.clock.advance(60_000);
      expect(peerOf(a, b)).toMatchObject({ state: "alive", membership: "alive" });
      expect(changes).toEqual([]);
      expect(a.counters()["membership.silentLinks"]).toBeUndefined();
    },
  );

  it("drops no link, however often it is said", async () => {
    const { a, b, liar, changes } = await scene();
    for (let n = 0; n < 50; n++) {
      tell(liar, { id: b.id, epoch: epochOf(b, a), incarnation: n, state: "dead" });
      await mesh.clock.advance(100);
    }
    await mesh.clock.until(() => peerOf(a, b)?.membership === "alive");
    expect(a.counters()["membership.died"]).toBeGreaterThan(10);
    expect(changes).toEqual([]);
  });

  it("moves nothing: what is said meanwhile is handled by the member that it is about", async () => {
    const { a, b, liar } = await scene();
    const got: number[] = [];
    await mesh.clock.run(b.subscribe("x.y", (n) => void got.push(Number(n)), { group: "g" }));
    await mesh.owned();
    for (let n = 0; n < 20; n++) {
      tell(liar, { id: b.id, epoch: epochOf(b, a), incarnation: n, state: "dead" });
      await mesh.clock.run(a.publish("x.y", n, { key: "k" }));
    }
    await mesh.clock.until(() => got.length === 20);
    expect(got).toEqual(Array.from({ length: 20 }, (_, n) => n));
  });
});

describe("a later life of a node that never was", () => {
  it("is jumped above once when it is said to be over, and nothing is lost", async () => {
    const { a, b, liar } = await scene();
    const got: number[] = [];
    await mesh.clock.run(b.subscribe("x.y", (n) => void got.push(Number(n)), { group: "g" }));
    await mesh.owned();
    const epoch = epochOf(a, b);
    await mesh.clock.run(a.publish("x.y", 1));
    tell(liar, { id: a.id, epoch: epoch + 1_000, state: "dead" });
    await mesh.clock.until(() => epochOf(a, b) > epoch + 1_000);
    await mesh.linked(a, b);
    await mesh.clock.run(a.publish("x.y", 2));
    await mesh.clock.until(() => got.includes(1) && got.includes(2));
    await mesh.clock.until(() => peerOf(b, a)?.membership === "alive");
    const again = await dial(a, "liar2");
    tell(again, { id: a.id, epoch: epoch + 5_000, state: "dead" });
    await mesh.clock.advance(5_000);
    expect(a.counters()["epoch.jumped"]).toBe(1);
    expect(a.counters()["membership.outlived"]).toBe(1);
    expect(peerOf(b, a)?.state).toBe("alive");
  });

  it("changes nothing while it is said to live: two that live would jump above one another", async () => {
    const { a, b, liar } = await scene();
    for (const state of ["alive", "stalled", "suspect"] as const) {
      tell(liar, { id: a.id, epoch: epochOf(a, b) + 1_000, state });
    }
    await mesh.clock.advance(5_000);
    expect(a.counters()["epoch.jumped"]).toBeUndefined();
    expect(peerOf(b, a)).toMatchObject({ state: "alive" });
  });
});

describe("more than a member may say", () => {
  it("of a second is dropped and counted, and the next second is heard", async () => {
    const { a, b, liar } = await scene();
    for (let n = 0; n < 5_000; n++) tell(liar, { id: `m${n % 10}`, incarnation: n });
    await mesh.clock.settle();
    const flooded = a.counters()["membership.flooded"] ?? 0;
    expect(flooded).toBeGreaterThan(4_000);
    await mesh.clock.advance(1_100);
    tell(liar, { id: "m1", incarnation: 9_999 });
    await mesh.clock.settle();
    expect(a.counters()["membership.flooded"]).toBe(flooded);
    expect(peerOf(a, b)).toMatchObject({ state: "alive" });
  });

  it("of members that nobody met is bounded, and they give way to one that comes", async () => {
    const { a, b, liar } = await scene({ limits: { peersMax: 16 } });
    for (let n = 0; n < 20; n++) {
      tell(liar, ...Array.from({ length: 30 }, (_, at) => ({ id: `ghost-${n}-${at}` })));
    }
    await mesh.clock.settle();
    expect(a.peers().length).toBeLessThanOrEqual(4 * 16 + 1);
    expect(a.counters()["membership.refused"]).toBeGreaterThan(400);
    await mesh.clock.until(
      () =>
        a.peers().every(({ nodeId, membership }) => {
          return !nodeId.startsWith("ghost") || membership === "dead";
        }),
      600_000,
    );
    const c = await mesh.node("c", { limits: { peersMax: 16 } });
    await mesh.clock.until(() => peerOf(a, c)?.membership === "alive");
    expect(peerOf(a, b)).toMatchObject({ state: "alive", membership: "alive" });
  });

  it("is malformed past the bounds of a frame, and closes the link of who said it alone", async () => {
    const { a, b, liar, changes } = await scene();
    tell(liar, ...Array.from({ length: 600 }, (_, at) => ({ id: `m${at}` })));
    await mesh.clock.until(() => liar.closed);
    expect(peerOf(a, b)).toMatchObject({ state: "alive" });
    expect(changes).toEqual([]);
  });
});

describe("a peer of an older version", () => {
  it("is sent no gossip, nor is it a member; what it says of others is not heard", async () => {
    const { a, b } = await scene();
    const old = await dial(a, "old", { features: 0 });
    tell(old, { id: b.id, epoch: epochOf(b, a), incarnation: 3, state: "dead" });
    await mesh.clock.advance(10_000);
    expect(old.of("gossip")).toEqual([]);
    const told = a.peers().find(({ nodeId }) => nodeId === "old");
    expect(told).toMatchObject({ membership: "" });
    expect(peerOf(a, b)).toMatchObject({ state: "alive", membership: "alive" });
    expect(a.counters()["membership.suspected"] ?? 0).toBeLessThanOrEqual(1); // the liar, which answers nothing
  });

  it("that takes gossip is told, by whoever is linked with it", async () => {
    const { liar, b } = await scene();
    await mesh.clock.until(() =>
      liar.of("gossip").some(({ claims }) => claims.some(({ id }) => id === b.id)),
    );
  });
});
