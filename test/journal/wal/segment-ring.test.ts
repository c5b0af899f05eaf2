/** What of a log is brought to the store below, by how large its commits are. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openLog } from "../../../src/journal/wal/open-log.ts";
import { FolderSegments } from "../../../src/journal/wal/segment-file.ts";
import type { StoreWrite } from "../../../src/ports/journal-store.ts";
import { Below, LIMITS, settled, shown } from "./log-model.ts";
import { SimulatedSegments } from "./simulated-segments.ts";

const LOG_BYTES_MAX = 80 * 1024;

/** A value of so many bytes is committed, and all but the last few are removed. */
type Step = { readonly bytes: number; readonly kept: number };

/** Returns how many rows were moved, and what the log's files take. */
async function run(steps: readonly Step[]) {
  const disk = new SimulatedSegments();
  const below = await Below.empty();
  const limits = { ...LIMITS, rowsMax: 1_000, logBytesMax: LOG_BYTES_MAX };
  const store = await openLog(below.opened(), disk, limits);
  const key = (number: number) => Uint8Array.of(number >> 8, number & 0xff);
  let first = 0;
  for (const [number, { bytes, kept }] of steps.entries()) {
    const writes: StoreWrite[] = [{ table: "log", key: key(number), value: new Uint8Array(bytes) }];
    for (; first <= number - kept; first += 1) {
      writes.push({ table: "log", key: key(first), value: undefined });
    }
    await store.commit(writes);
    await settled(new Promise(() => {}));
  }
  expect(shown(store).size).toBe(steps.at(-1)?.kept);
  const capacity = disk.files.reduce((sum, file) => sum + file.capacity, 0);
  await store.close();
  return { moved: below.values, capacity };
}

const times = (count: number, step: (number: number) => Step): Step[] =>
  Array.from({ length: count }, (_, number) => step(number));

test("values that are removed soon are not moved, also where each commit is a little larger than the one before", async () => {
  const { moved, capacity } = await run(
    times(120, (number) => ({ bytes: 12_000 + number * 5, kept: 2 })),
  );
  expect(moved).toBe(0);
  expect(capacity).toBeLessThanOrEqual(LOG_BYTES_MAX);
});

test("files that are too small for what is committed now make way for others", async () => {
  const small = times(60, () => ({ bytes: 6_000, kept: 6 }));
  const large = times(60, () => ({ bytes: 14_000, kept: 2 }));
  const { moved, capacity } = await run([...small, ...large]);
  expect(moved).toBe(0);
  expect(capacity).toBeLessThanOrEqual(LOG_BYTES_MAX);
});

test("a file has its size, however little of it is written when it is made", async () => {
  const folder = mkdtempSync(join(tmpdir(), "meshbus-ring-"));
  const segments = new FolderSegments(folder);
  const head = new Uint8Array(512).fill(7);
  for (const zerosFrom of [512, 3_000, 8_192]) {
    const file = await segments.create(8_192, head, zerosFrom);
    expect(file.capacity).toBe(8_192);
    expect(file.read(0, 9_000)).toEqual(new Uint8Array([...head, ...new Uint8Array(7_680)]));
    file.close();
  }
  rmSync(folder, { recursive: true });
});
