/** The store that handlers write to refuses an owner that was superseded. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { StoreClient, serveStore } from "./fenced-store.ts";

let folder = "";
const ends: (() => void)[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "meshbus-store-test-"));
});

afterEach(() => {
  for (const end of ends.splice(0)) end();
  rmSync(folder, { recursive: true, force: true });
});

it("refuses a smaller fence than a key has seen, whoever brings it, and nothing else", async () => {
  const path = join(folder, "store.sock");
  const decided: string[] = [];
  const server = await serveStore(path, ({ run }, accepted) => decided.push(`${run} ${accepted}`));
  const [older, newer] = [new StoreClient(path), new StoreClient(path)];
  ends.push(() => server.close(), older.end.bind(older), newer.end.bind(newer));
  const large = 2n ** 60n;
  const write = (client: StoreClient, run: string, key: string, fence: bigint) =>
    client.write({ run, key, fence: String(fence) });
  expect(await write(older, "first", "a", large)).toBe(true);
  expect(await write(newer, "taken over", "a", large + 1n)).toBe(true);
  expect(await write(older, "stale", "a", large)).toBe(false);
  expect(await write(older, "other key", "b", large)).toBe(true);
  expect(await write(newer, "same fence", "a", large + 1n)).toBe(true);
  expect(decided).toEqual([
    ...["first true", "taken over true", "stale false", "other key true", "same fence true"],
  ]);
});
