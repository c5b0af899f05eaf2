/** A host that has no time: greetings that come late, and newcomers that everybody hears of. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { MeshNode } from "../../src/index.ts";
import type { Discovery } from "../../src/ports/discovery.ts";
import type { Connection } from "../../src/ports/transport.ts";
import { memoryTransport } from "../../src/transport/memory/memory-transport.ts";
import { RawPeer } from "./raw-peer.ts";
import { TestMesh } from "./test-mesh.ts";

const HANDSHAKE_MS = 5_000;
const MUTE = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

let mesh: TestMesh;
beforeEach(() => {
  mesh = new TestMesh();
});
afterEach(() => mesh.stop());

const at = (...addresses: readonly string[]): Discovery => ({
  name: "static",
  async start(_, events) {
    for (const one of addresses) events.found({ addresses: [one], source: "static" });
  },
  async stop() {},
});

/** Something that listens, and what it does with who comes. */
const listener = async (took: (connection: Connection) => void): Promise<string> => {
  const transport = memoryTransport(mesh.network);
  const { clock } = mesh;
  await transport.start({ clock, logger: MUTE, frameBytesMax: 2 ** 20, count: () => {} });
  return (await transport.listen({ host: "127.0.0.1", port: 0 }, took)).address;
};

const isLinked = (node: MeshNode, other: MeshNode): boolean =>
  node.peers().some(({ nodeId, state }) => nodeId === other.id && state === "alive");

describe("a greeting that is not answered", () => {
  it("is waited for twice as long each time, up to eight times", async () => {
    const waits: number[] = [];
    const address = await listener((connection) => {
      const sinceMs = mesh.clock.monotonicMs();
      const closed = () => void waits.push(mesh.clock.monotonicMs() - sinceMs);
      connection.open({ frame: () => {}, drained: () => {}, closed });
    });
    await mesh.node("a", { discovery: [at(address)], handshakeMs: HANDSHAKE_MS });
    await mesh.clock.until(() => waits.length === 5);
    const times = waits.map((ms) => Math.round(ms / HANDSHAKE_MS));
    expect(times).toEqual([1, 2, 4, 8, 8]);
  });
});

describe("a newcomer", () => {
  it("is left to dial whom it hears of, and dialled when it does not", async () => {
    const seed = await mesh.node("seed", { discovery: [] });
    const [seedAddress = ""] = seed.addresses;
    const settled = await mesh.node("settled", { discovery: [at(seedAddress)] });
    await mesh.clock.until(() => isLinked(settled, seed));
    await mesh.clock.advance(10_000);
    let came = 0;
    const place = await listener((connection) => {
      came++;
      connection.open({ frame: () => {}, drained: () => {}, closed: () => {} });
      connection.close();
    });
    // It says where it is, and dials nobody but the seed.
    const newcomer = await RawPeer.dial(mesh, seedAddress, { identity: { addresses: [place] } });
    newcomer.declareNothing();
    await mesh.clock.advance(1_000);
    expect(came).toBe(0);
    await mesh.clock.advance(2_000);
    expect(came).toBeGreaterThan(0);
  });

  it("dials at once: it is linked with all before any of them would dial it", async () => {
    const seed = await mesh.node("seed", { discovery: [] });
    const [seedAddress = ""] = seed.addresses;
    const settled = await mesh.node("settled", { discovery: [at(seedAddress)] });
    await mesh.clock.until(() => isLinked(settled, seed));
    await mesh.clock.advance(10_000);
    const sinceMs = mesh.clock.monotonicMs();
    const newcomer = await mesh.node("newcomer", { discovery: [at(seedAddress)] });
    await mesh.clock.until(() => isLinked(settled, newcomer) && isLinked(newcomer, settled));
    expect(mesh.clock.monotonicMs() - sinceMs).toBeLessThan(1_000);
  });
});
