/** In which order the messages of one batch run. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { TestMesh } from "./test-mesh.ts";

let mesh: TestMesh;
beforeEach(() => {
  mesh = new TestMesh();
});
afterEach(() => mesh.stop());

const GROUP = { group: "work", durable: true } as const;

it("handlers that end at once run in the order in which messages came, whatever their keys", async () => {
  const [worker, source] = [await mesh.node("worker"), await mesh.node("source")];
  await mesh.linked();
  const order: number[] = [];
  await mesh.clock.run(worker.subscribe("x.y", (n) => void order.push(n as number), GROUP));
  await mesh.owned();
  const keys = ["a", "a", "b", "b", "b", "a", "c", "a"];
  const all = keys.map((key, n) => source.publish("x.y", n, { key }));
  await mesh.clock.run(Promise.all(all));
  await mesh.clock.until(() => order.length === keys.length);
  expect(order).toEqual(keys.map((_, n) => n));
});

it("a handler that takes its time holds its key and no other, and no more run than may", async () => {
  const [worker, source] = [await mesh.node("worker"), await mesh.node("source")];
  await mesh.linked();
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  const handler = (n: unknown): Promise<void> => {
    begun.push(n as number);
    return new Promise((resolve) => ends.push(resolve));
  };
  await mesh.clock.run(worker.subscribe("x.y", handler, { ...GROUP, concurrency: 2 }));
  await mesh.owned();
  const all = ["a", "a", "b", "c"].map((key, n) => source.publish("x.y", n, { key }));
  await mesh.clock.run(Promise.all(all));
  await mesh.clock.until(() => begun.length === 2);
  expect(begun).toEqual([0, 2]);
  ends[1]?.();
  await mesh.clock.until(() => begun.length === 3);
  expect(begun).toEqual([0, 2, 3]);
  for (const end of ends) end();
  await mesh.clock.until(() => begun.length === 4);
  expect(begun).toEqual([0, 2, 3, 1]);
  for (const end of ends) end();
});
