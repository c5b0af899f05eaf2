/** Stalled, lost and dead to the millisecond: whole nodes in simulated processes. */
import { describe, expect, it } from "vitest";
import { type Life, ProcessMesh, stateOf } from "./process-mesh.ts";

const LEASE_MS = 1_000;
const SILENCE_MS = 3_000;
const HEARTBEAT_MS = 250;

const pair = async (a: Parameters<ProcessMesh["start"]>[1] = {}, b: typeof a = {}) => {
  const mesh = new ProcessMesh();
  const lives = [await mesh.start("a", a), await mesh.start("b", b)] as const;
  await mesh.linked();
  return { mesh, a: lives[0], b: lives[1] };
};

/** What its links and leases say, not what the mesh suspects. */
const whatOf = ({ said }: Life): string[] =>
  said.map(({ what }) => what).filter((what) => !what.startsWith("peer-suspect"));
const timeOf = ({ said }: Life, what: string): number =>
  said.find((each) => each.what === what)?.atMs ?? Number.NaN;

describe("a blocked event loop", () => {
  it("is stalled a lease and a heartbeat later, and alive a heartbeat after it turns", async () => {
    const { mesh, a, b } = await pair();
    const startMs = mesh.time.nowMs;
    b.process.block();
    await mesh.pass(30_000);
    expect(stateOf(a, b)).toBe("stalled");
    const afterMs = timeOf(a, "peer-stalled b") - startMs;
    expect(afterMs).toBeGreaterThan(LEASE_MS - HEARTBEAT_MS);
    expect(afterMs).toBeLessThan(LEASE_MS + 3 * HEARTBEAT_MS);
    b.process.unblock();
    await mesh.pass(2 * HEARTBEAT_MS);
    expect(stateOf(a, b)).toBe("alive");
    expect(whatOf(a)).toEqual(["peer-stalled b", "peer-resumed b"]);
    expect(whatOf(b)).toEqual([]);
  });

  it("gets no new work, and all of it when it turns again; what is at most once goes to others", async () => {
    const { mesh, a, b } = await pair();
    const c = await mesh.start("c");
    await mesh.linked();
    const got: string[] = [];
    for (const { node, host } of [b, c]) {
      const note = (data: unknown) => void got.push(`${host} ${String(data)}`);
      await mesh.wait(node.subscribe("x.y", note, { group: "g", distribution: "any" }));
    }
    b.process.block();
    await mesh.until(() => stateOf(a, b) === "stalled");
    for (let n = 0; n < 50; n++) await mesh.wait(a.node.publish("x.y", n));
    for (let n = 50; n < 100; n++) expect(a.node.emit("x.y", n)).toBe(true);
    await mesh.pass(1_000);
    expect(got.filter((each) => each.startsWith("c"))).toHaveLength(100);
    b.process.unblock();
    await mesh.until(() => stateOf(a, b) === "alive");
    for (let n = 100; n < 150; n++) await mesh.wait(a.node.publish("x.y", n));
    await mesh.pass(1_000);
    expect(got.filter((each) => each.startsWith("b")).length).toBeGreaterThan(0);
    expect(got).toHaveLength(150);
  });

  it("keeps its lease: what waits behind its handler starts within a heartbeat, once what came is read", async () => {
    const { mesh, a, b } = await pair();
    const c = await mesh.start("c");
    await mesh.linked();
    const starts: number[] = [];
    for (const { node, process } of [b, c]) {
      const handle = (): Promise<void> => {
        if (node === b.node) starts.push(mesh.time.nowMs);
        return new Promise((resolve) => void process.clock.setTimer(50, resolve));
      };
      await mesh.wait(node.subscribe("x.y", handle, { group: "g", concurrency: 1 }));
    }
    await mesh.pass(2_000); // both own their keys
    for (let n = 0; n < 40; n++) await mesh.wait(a.node.publish("x.y", n, { key: `k${n}` }));
    await mesh.until(() => starts.length > 0);
    b.process.block();
    const { length } = starts;
    await mesh.pass(8_000);
    const turnsMs = mesh.time.nowMs;
    b.process.unblock();
    await mesh.until(() => starts.length === length + 2);
    const [first = 0] = starts.slice(length);
    expect(first - turnsMs).toBeLessThanOrEqual(HEARTBEAT_MS + 1);
    expect(first - turnsMs).toBeGreaterThan(1); // it might have been given up and not know it yet
  });

  it("is dead past stalledMaxMs, as if it had no heartbeat", async () => {
    const { mesh, a, b } = await pair({ stalledMaxMs: 10_000 });
    const startMs = mesh.time.nowMs;
    b.process.block();
    await mesh.pass(20_000);
    expect(whatOf(a)).toEqual(["peer-stalled b", "peer-down b", "peer-dead b"]);
    const deadMs = timeOf(a, "peer-dead b") - startMs;
    expect(deadMs).toBeGreaterThan(10_000);
    expect(deadMs).toBeLessThan(10_000 + 1.1 * LEASE_MS + 3 * HEARTBEAT_MS);
    b.process.unblock();
    await mesh.until(() => stateOf(a, b) === "alive");
  });

  it("whose link breaks is lost, then stalled, and has a lease to come back when it turns", async () => {
    const { mesh, a, b } = await pair();
    b.process.block();
    await mesh.pass(500);
    mesh.network.reset("a", "b");
    await mesh.pass(100);
    expect(stateOf(a, b)).toBe("lost");
    await mesh.pass(20_000);
    expect(stateOf(a, b)).toBe("stalled");
    b.process.unblock();
    await mesh.pass(3_000);
    expect(stateOf(a, b)).toBe("alive");
    expect(whatOf(a)).toEqual(["peer-down b", "peer-stalled b"]);
  });

  it("keeps its link when its heartbeat tells that it turns before its first frame does", async () => {
    const { mesh, a, b } = await pair();
    b.process.block();
    await mesh.pass(10_000);
    const back = mesh.network.path("b", "a");
    const { delayMinMs, delayMeanMs } = back;
    Object.assign(back, { delayMinMs: 800, delayMeanMs: 800 }); // for the frames it sends first
    b.process.unblock();
    await mesh.pass(20);
    Object.assign(back, { delayMinMs, delayMeanMs });
    await mesh.pass(5_000);
    expect(stateOf(a, b)).toBe("alive");
    expect(whatOf(a)).toEqual(["peer-stalled b", "peer-resumed b"]);
  });

  it("takes nobody for dead when it turns again", async () => {
    const { mesh, a, b } = await pair();
    const c = await mesh.start("c");
    await mesh.linked();
    b.process.block();
    mesh.network.reset("b", "c"); // c's return waits to be read
    await mesh.pass(30_000);
    b.process.unblock();
    await mesh.pass(5_000);
    expect([stateOf(b, a), stateOf(b, c)]).toEqual(["alive", "alive"]);
    expect(whatOf(b)).not.toContain("peer-dead c");
    expect(whatOf(b)).not.toContain("peer-dead a");
  });
});

describe("a process that is gone", () => {
  it("is dead a lease later, whether it was stalled or not", async () => {
    for (const blockedMs of [0, 5_000]) {
      const { mesh, a, b } = await pair();
      if (blockedMs > 0) b.process.block();
      await mesh.pass(blockedMs);
      const killedMs = mesh.time.nowMs;
      b.process.kill();
      mesh.network.died("b", false);
      await mesh.until(() => stateOf(a, b) === "dead");
      const afterMs = mesh.time.nowMs - killedMs;
      expect(afterMs).toBeGreaterThan(LEASE_MS);
      expect(afterMs).toBeLessThan(1.1 * LEASE_MS + HEARTBEAT_MS);
    }
  });

  it("without a word, with its power, is dead a silence and a lease later, stalled or not", async () => {
    for (const blockedMs of [0, 5_000]) {
      const { mesh, a, b } = await pair();
      if (blockedMs > 0) b.process.block();
      await mesh.pass(blockedMs);
      const killedMs = mesh.time.nowMs;
      b.process.kill();
      mesh.network.died("b", true);
      await mesh.until(() => stateOf(a, b) === "dead");
      const afterMs = mesh.time.nowMs - killedMs;
      expect(afterMs).toBeLessThan(SILENCE_MS + 1.1 * LEASE_MS + 3 * HEARTBEAT_MS);
    }
  });

  it("is told from a blocked one: a paused one is dead", async () => {
    const { mesh, a, b } = await pair();
    const startMs = mesh.time.nowMs;
    b.process.pause();
    await mesh.until(() => stateOf(a, b) === "dead");
    expect(mesh.time.nowMs - startMs).toBeLessThan(SILENCE_MS + 1.1 * LEASE_MS + 3 * HEARTBEAT_MS);
    expect(whatOf(a)).toEqual(["peer-down b", "peer-dead b"]);
    b.process.resume();
    await mesh.until(() => stateOf(a, b) === "alive");
  });
});

describe("a peer without a heartbeat, of an older version", () => {
  it.each([
    ["there", {}, { isOld: true }],
    ["here", { isOld: true }, {}],
  ])("is dead when its event loop is blocked: none %s", async (_, mine, its) => {
    const { mesh, a, b } = await pair(mine, its);
    b.process.block();
    await mesh.pass(10_000);
    expect(whatOf(a)).toEqual(["peer-down b", "peer-dead b"]);
    b.process.unblock();
    await mesh.until(() => stateOf(a, b) === "alive");
  });
});
