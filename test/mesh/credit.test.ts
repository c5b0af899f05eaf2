/** What one producer may send among many peers that send nothing. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { event, json } from "../../src/index.ts";
import { TestMesh } from "./test-mesh.ts";

let mesh: TestMesh;
beforeEach(() => {
  mesh = new TestMesh();
});
afterEach(() => mesh.stop());

const IDLE = 20;
const MIB = 1024 * 1024;
const TEXT = "x".repeat(28_000);
const heardOf = event("x.y", { schema: json<number>() });

const crowd = async () => {
  const says = await mesh.node("says");
  const hears = await mesh.node("hears");
  for (let idle = 0; idle < IDLE; idle++) await mesh.node(`idle-${idle}`);
  await mesh.linked();
  return { says, hears };
};

it("is three quarters of prefetch, however many peers are idle", async () => {
  const { says, hears } = await crowd();
  let begun = 0;
  const handler = (): Promise<void> => {
    begun++;
    return new Promise(() => {});
  };
  await mesh.clock.run(hears.subscribe(heardOf, handler, { prefetch: 256, concurrency: 256 }));
  await mesh.clock.run(says.waitFor(heardOf));
  await mesh.clock.run(
    Promise.all(Array.from({ length: 300 }, (_, n) => says.publish(heardOf, n))),
  );
  await mesh.clock.until(() => begun >= 192);
});

it("has room for a burst at most once, however many peers are idle", async () => {
  const { says, hears } = await crowd();
  let heard = 0;
  await mesh.clock.run(hears.subscribe(heardOf, () => void heard++, { durable: false }));
  await mesh.clock.run(says.waitFor(heardOf));
  let said = 0;
  const burst = async (count: number): Promise<void> => {
    for (let n = 0; n < count; n++) if (says.emit(heardOf, said)) said++;
    await mesh.clock.until(() => heard === said);
  };
  await burst(3_000); // it is busy
  await burst(20_000);
  expect(said).toBe(23_000);
});

/** MiB that one member takes at most once while its handlers do not end. */
const takenAtMostOnce = async (prefetchBytes: number): Promise<number> => {
  const says = await mesh.node("says");
  const hears = await mesh.node("hears");
  await mesh.linked();
  const text = event("x.text", { schema: json<string>() });
  const handler = (): Promise<void> => new Promise(() => {});
  await mesh.clock.run(hears.subscribe(text, handler, { durable: false, prefetchBytes }));
  await mesh.clock.run(says.waitFor(text));
  let said = 0;
  for (let turn = 0; turn < 120; turn++) {
    // Less than what a link may have untaken.
    for (let n = 0; n < 10; n++) if (says.emit(text, TEXT)) said++;
    await mesh.clock.advance(1);
  }
  return (said * TEXT.length) / MIB;
};

it("is three quarters of 16 MiB at most once", async () => {
  const taken = await takenAtMostOnce(8 * MIB);
  expect(taken).toBeGreaterThan(11);
  expect(taken).toBeLessThan(13);
});

it("is more at most once where prefetchBytes is", async () => {
  expect(await takenAtMostOnce(64 * MIB)).toBeGreaterThan(30); // all of it
});
