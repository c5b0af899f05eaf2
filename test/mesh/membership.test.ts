/** What members tell each other, on whole nodes: what follows from it, and what must not. */
import { describe, expect, it } from "vitest";
import type { NodeOptions } from "../../src/options/node-options.ts";
import { type Life, ProcessMesh, stateOf } from "./process-mesh.ts";

const LEASE_MS = 1_000;
const LAN = { membership: "lan" } as const;

const meshOf = async (
  hosts: readonly string[],
  options: Partial<NodeOptions> & { isOld?: boolean } = LAN,
): Promise<{ mesh: ProcessMesh; lives: Life[] }> => {
  const mesh = new ProcessMesh();
  const lives: Life[] = [];
  for (const host of hosts) lives.push(await mesh.start(host, options));
  await mesh.linked();
  return { mesh, lives };
};

const peerOf = (life: Life, of: Life) =>
  life.node.peers().find(({ nodeId }) => nodeId === of.node.id);
const believes = (life: Life, of: Life): string | undefined => peerOf(life, of)?.membership;
const counted = (life: Life, name: string): number => life.node.counters()[name] ?? 0;

/** `from` can send nothing to `to`, nor the other way. */
const part = ({ network }: ProcessMesh, a: Life, b: Life): void => {
  network.block(a.host, b.host);
  network.block(b.host, a.host);
  network.reset(a.host, b.host);
};
const join = ({ network }: ProcessMesh, a: Life, b: Life): void => {
  network.unblock(a.host, b.host);
  network.unblock(b.host, a.host);
};

describe("a host that vanishes without a word", () => {
  it("is known dead by all within 3 s at lan, though no link broke, and after its lease", async () => {
    const { mesh, lives } = await meshOf(["a", "b", "c", "d", "e"]);
    const [gone, ...others] = lives as [Life, ...Life[]];
    const killedMs = mesh.time.nowMs;
    mesh.kill(gone, true); // the power is gone: nothing says that the links are over
    await mesh.until(() => others.every((life) => stateOf(life, gone) === "dead"));
    const tookMs = mesh.time.nowMs - killedMs;
    expect(tookMs).toBeLessThan(3_000);
    expect(tookMs).toBeGreaterThan(1.1 * LEASE_MS);
    for (const life of others) {
      expect(life.said.map(({ what }) => what)).toEqual(["peer-down a", "peer-dead a"]);
      expect(counted(life, "membership.silentLinks")).toBe(1);
    }
  });

  it("is dead when its silence has lasted and its lease run out where the mesh is slow to say so", async () => {
    const { mesh, lives } = await meshOf(["a", "b", "c"], { membership: "default" });
    const [gone, ...others] = lives as [Life, ...Life[]];
    const killedMs = mesh.time.nowMs;
    mesh.kill(gone, true);
    await mesh.until(() => others.every((life) => stateOf(life, gone) === "dead"));
    expect(mesh.time.nowMs - killedMs).toBeGreaterThan(3_000);
    await mesh.until(() => others.every((life) => believes(life, gone) === "dead"));
    expect(mesh.time.nowMs - killedMs).toBeLessThan(15_000);
  });
});

describe("a lease", () => {
  it("runs to its end, whatever the mesh says of its holder", async () => {
    const { mesh, lives } = await meshOf(["a", "b", "c"], { ...LAN, leaseMs: 20_000 });
    const [gone, ...others] = lives as [Life, ...Life[]];
    const killedMs = mesh.time.nowMs;
    mesh.kill(gone, false);
    await mesh.until(() => others.every((life) => believes(life, gone) === "dead"));
    expect(mesh.time.nowMs - killedMs).toBeLessThan(3_000);
    for (const life of others) expect(stateOf(life, gone)).toBe("suspect");
    await mesh.pass(18_000);
    for (const life of others) expect(stateOf(life, gone)).toBe("suspect");
    await mesh.until(() => others.every((life) => stateOf(life, gone) === "dead"));
    expect(mesh.time.nowMs - killedMs).toBeGreaterThanOrEqual(1.1 * 20_000);
  });
});

describe("a member that one node cannot reach", () => {
  it("is dead to that node when its lease has run out, and to nobody else; and is met again", async () => {
    const { mesh, lives } = await meshOf(["a", "b", "c"]);
    const [a, b, c] = lives as [Life, Life, Life];
    part(mesh, a, b);
    await mesh.until(() => stateOf(a, b) === "dead" && stateOf(b, a) === "dead");
    await mesh.pass(10_000);
    expect(believes(a, b)).toBe("alive"); // c reaches it for a, and says so
    expect(stateOf(c, a)).toBe("alive");
    expect(counted(c, "membership.died")).toBe(0);
    join(mesh, a, b);
    await mesh.until(() => stateOf(a, b) === "alive");
  });

  it("and that it never met is known by the others' word, living and dead", async () => {
    const mesh = new ProcessMesh();
    mesh.network.block("a", "c");
    mesh.network.block("c", "a");
    const a = await mesh.start("a", LAN);
    const b = await mesh.start("b", LAN);
    const c = await mesh.start("c", LAN);
    await mesh.until(() => stateOf(a, c) === "known" && stateOf(c, a) === "known");
    expect(peerOf(a, c)).toMatchObject({ membership: "alive", transport: "", service: "" });
    await mesh.pass(10_000);
    expect(stateOf(a, c)).toBe("known");
    mesh.kill(c, false);
    await mesh.until(() => stateOf(a, c) === "dead");
    expect(a.said.map(({ what }) => what)).toEqual(["peer-suspect ", "peer-dead "]);
    expect(stateOf(a, b)).toBe("alive");
  });
});

describe("a blocked event loop", () => {
  it.each([800, 4_000])(
    "that is blocked for %i ms, four parts of five of the time, is never dead to anybody",
    async (ms) => {
      const { mesh, lives } = await meshOf(["a", "b", "c", "d"]);
      const [blocked, ...others] = lives as [Life, ...Life[]];
      for (let spent = 0; spent < 60_000; spent += 1.25 * ms) {
        blocked.process.block();
        await mesh.pass(ms);
        blocked.process.unblock();
        await mesh.pass(ms / 4);
      }
      for (const life of others) {
        expect(counted(life, "membership.died")).toBe(0);
        expect(life.said.map(({ what }) => what)).not.toContain("peer-dead a");
        expect(life.said.map(({ what }) => what)).not.toContain("peer-down a");
      }
    },
  );

  it("whose link breaks is vouched for by who hears its heartbeat", async () => {
    const { mesh, lives } = await meshOf(["a", "b", "c"]);
    const [blocked, b, c] = lives as [Life, Life, Life];
    blocked.process.block();
    await mesh.pass(500);
    mesh.network.reset("a", "b");
    mesh.network.reset("a", "c");
    await mesh.pass(20_000);
    for (const life of [b, c]) {
      expect(stateOf(life, blocked)).toBe("stalled");
      expect(counted(life, "membership.died")).toBe(0);
    }
    blocked.process.unblock();
    await mesh.until(() => stateOf(b, blocked) === "alive" && stateOf(c, blocked) === "alive");
  });
});

describe("a partition", () => {
  it("heals within 5 s of the network's return, for the mesh as for the links", async () => {
    const { mesh, lives } = await meshOf(["a", "b", "c", "d"]);
    const [a, b, c, d] = lives as [Life, Life, Life, Life];
    const pairs = [a, b].flatMap((one) => [c, d].map((other) => [one, other] as const));
    for (const [one, other] of pairs) part(mesh, one, other);
    await mesh.pass(60_000);
    for (const [one, other] of pairs) expect(believes(one, other)).toBe("dead");
    for (const [one, other] of pairs) join(mesh, one, other);
    const healedMs = mesh.time.nowMs;
    await mesh.until(() =>
      lives.every((life) =>
        life.node.peers().every((peer) => peer.state === "alive" && peer.membership === "alive"),
      ),
    );
    expect(mesh.time.nowMs - healedMs).toBeLessThan(5_000);
  });
});

describe("a node that leaves or comes again", () => {
  it("has left for all of them at once, and nobody suspects it", async () => {
    const { mesh, lives } = await meshOf(["a", "b", "c"]);
    const [a, b, c] = lives as [Life, Life, Life];
    await mesh.wait(a.node.stop());
    await mesh.pass(100); // its last words are on their way
    mesh.kill(a, false);
    await mesh.until(() => believes(b, a) === "left" && believes(c, a) === "left");
    await mesh.until(() => stateOf(b, a) === "left" && stateOf(c, a) === "left");
    await mesh.pass(10_000);
    for (const life of [b, c]) expect(counted(life, "membership.suspected")).toBe(0);
  });

  it("is alive in its next life, whatever was said of the one before", async () => {
    const { mesh, lives } = await meshOf(["a", "b", "c"]);
    const [a, b, c] = lives as [Life, Life, Life];
    mesh.kill(a, true);
    await mesh.until(() => believes(b, a) === "dead" && believes(c, a) === "dead");
    const again = await mesh.start("a", LAN);
    expect(again.node.id).toBe(a.node.id);
    await mesh.until(() => believes(b, again) === "alive" && believes(c, again) === "alive");
    await mesh.until(() => [b, c].every((life) => believes(again, life) === "alive"));
    await mesh.pass(10_000);
    for (const life of [b, c]) {
      expect(peerOf(life, again)).toMatchObject({ state: "alive", membership: "alive" });
      expect(counted(life, "membership.died")).toBe(1);
    }
  });
});
