/** A process that is gone for sure: what has no owners goes on at once, what has them waits for the lease. */
import { describe, expect, it } from "vitest";
import type { MeshNode } from "../../src/mesh/mesh-node.ts";
import { createTestMesh } from "../../src/testing/index.ts";

const LEASE_MS = 2_000;
const TOPIC = "task.set";

type Take = { readonly member: string; readonly n: number; readonly atMs: number };

/** Two members that keep what they were given, and a source. */
const setUp = async (distribution: "any" | "key") => {
  const mesh = await createTestMesh({ seed: 7 });
  const takes: Take[] = [];
  const member = async (service: string): Promise<MeshNode> => {
    const node = await mesh.createNode({ service, mesh: "exit", leaseMs: LEASE_MS });
    await node.subscribe(
      TOPIC,
      async (n) => {
        takes.push({ member: service, n: n as number, atMs: mesh.nowMs });
        await mesh.sleep(5_000);
      },
      { group: "work", durable: true, distribution, concurrency: 64 },
    );
    return node;
  };
  const source = await mesh.createNode({ service: "source", mesh: "exit", leaseMs: LEASE_MS });
  const [first, second] = [await member("first"), await member("second")];
  await mesh.until(() => source.peers().filter(({ state }) => state === "alive").length === 2);
  await mesh.advance(3_000); // shards have found their owners
  return { mesh, takes, source, first, second };
};

type Field = Awaited<ReturnType<typeof setUp>>;

const publishAll = async ({ mesh, source, takes }: Field): Promise<void> => {
  const numbers = Array.from({ length: 40 }, (_, n) => n);
  await Promise.all(numbers.map((n) => source.publish(TOPIC, n, { key: `k${n}` })));
  await mesh.until(() => takes.length === 40);
};

const againBy = async ({ mesh, takes }: Field, lost: readonly number[]): Promise<number> => {
  const taken = (n: number): Take | undefined =>
    takes.find((take) => take.n === n && take.member === "second");
  await mesh.until(() => lost.every((n) => taken(n) !== undefined));
  return Math.max(...lost.map((n) => taken(n)?.atMs ?? 0));
};

describe("a process that is gone", () => {
  it.each([
    { distribution: "any", from: 0, to: 100 },
    { distribution: "key", from: LEASE_MS, to: LEASE_MS * 1.5 + 500 },
  ] as const)("gives up what it had: $distribution", async ({ distribution, from, to }) => {
    const field = await setUp(distribution);
    const { mesh, takes, first } = field;
    await publishAll(field);
    const lost = takes.filter(({ member }) => member === "first").map(({ n }) => n);
    expect(lost.length).toBeGreaterThan(5);
    const killedMs = mesh.nowMs;
    mesh.kill(first);
    const tookMs = (await againBy(field, lost)) - killedMs;
    expect(tookMs).toBeGreaterThanOrEqual(from);
    expect(tookMs).toBeLessThan(to);
    await mesh.settle();
    mesh.check();
    await mesh.stop();
  });

  it("is not told from one whose host is silent, or whose link alone broke", async () => {
    const field = await setUp("any");
    const { mesh, takes, source, first } = field;
    await publishAll(field);
    const lost = takes.filter(({ member }) => member === "first").map(({ n }) => n);
    const heal = mesh.partition(source, first);
    await mesh.until(() => source.peers().some(({ state }) => state === "lost"));
    const lostMs = mesh.nowMs;
    await mesh.advance(LEASE_MS / 2);
    expect(takes.length).toBe(40);
    await againBy(field, lost);
    expect(mesh.nowMs - lostMs).toBeGreaterThanOrEqual(LEASE_MS);
    heal();
    await mesh.settle();
    mesh.check();
    await mesh.stop();
  });
});
