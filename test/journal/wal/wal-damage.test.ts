/** What somebody meets whose folder lost something of the log: on real files, which the whole engine opens. */

import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { MeshError } from "../../../src/errors.ts";
import { lmdbEngine } from "../../../src/journal/lmdb/lmdb-engine.ts";
import { walEngine } from "../../../src/journal/wal/wal-engine.ts";
import { decodeWalRow, WAL_KEY } from "../../../src/journal/wal/wal-row.ts";
import type { JournalStore } from "../../../src/ports/journal-store.ts";
import { batchOf, LAST_KEY, lastWholeBatch, numberOf } from "../numbered-batch.ts";

const SECTOR_BYTES = 512;

let base = "";
let folder = "";
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "meshbus-wal-"));
  folder = join(base, "data");
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

const open = (dataDir = folder): Promise<JournalStore> =>
  walEngine(lmdbEngine()).open({ dataDir, bytesMax: 2 ** 30 });

const commitTo = async (store: JournalStore, last: number): Promise<void> => {
  const known = store.get("meta", LAST_KEY);
  for (let number = (known ? numberOf(known) : 0) + 1; number <= last; number += 1) {
    await store.commit(batchOf(number));
  }
};

/** What a process leaves behind that is killed now. */
const asKilled = (): string => {
  const copy = join(base, "killed");
  rmSync(copy, { recursive: true, force: true });
  cpSync(folder, copy, { recursive: true, filter: (path) => !path.endsWith("lock.sock") });
  return copy;
};

const refusal = async (dataDir = folder): Promise<string> => {
  const failed = await open(dataDir).then(
    (store) => store.close().then(() => undefined),
    (error: unknown) => error,
  );
  expect(MeshError.is(failed, "JOURNAL_DAMAGED"), String(failed)).toBe(true);
  return (failed as MeshError).message;
};

const MARK = "journal.wal.mark";
const marked = (): number => {
  try {
    return Number(readFileSync(join(folder, MARK)).readBigUInt64LE(8));
  } catch {
    return 0;
  }
};

type Place = { readonly path: string; readonly number: number; readonly at: number };

/** Where the records lie, by their numbers. */
const records = (dataDir = folder): Place[] => {
  const places: Place[] = [];
  for (const name of readdirSync(dataDir).filter((one) => /^journal\.wal\.\d+$/.test(one))) {
    const path = join(dataDir, name);
    const bytes = readFileSync(path);
    for (let at = SECTOR_BYTES; at < bytes.length; at += SECTOR_BYTES) {
      if (bytes.toString("latin1", at, at + 4) !== "MBWR") continue;
      places.push({ path, at, number: Number(bytes.readBigUInt64LE(at + 16)) });
    }
  }
  return places.sort((one, other) => one.number - other.number);
};

const flip = (path: string, at: number): void => {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] as number) ^ 1;
  writeFileSync(path, bytes);
};

describe("a last record that rotted", () => {
  test("is JOURNAL_DAMAGED after a close, wherever its rows were hit, and names the way on", async () => {
    const store = await open();
    await commitTo(store, 5);
    await store.close();
    const { path, at } = records().at(-1) as Place;
    const rowBytes = readFileSync(path).readUInt32LE(at + 12);
    // Magic, checksum, lengths, number, salt, and then all over the rows.
    const places = [0, 5, 13, 17, 25, 33];
    for (let place = 48; place < 48 + rowBytes; place += 97) places.push(place);
    for (const place of places) {
      flip(path, at + place);
      expect(await refusal(), `byte ${place}`).toMatch(
        /commit 5 is missing, and 5 was synced: .*delete journal\.wal\.mark/,
      );
      flip(path, at + place);
    }
    expect(places.length).toBeGreaterThan(7);
    const again = await open();
    expect(lastWholeBatch(again)).toBe(5);
    await again.close();
  });

  test("is not cut off for a value that rotted: that is shown, and its block has a checksum", async () => {
    const store = await open();
    await commitTo(store, 5);
    await store.close();
    const { path, at } = records().at(-1) as Place;
    const bytes = readFileSync(path);
    flip(path, at + 48 + bytes.readUInt32LE(at + 12) + Number(bytes.readBigUInt64LE(at + 24)) - 1);
    const again = await open();
    expect(numberOf(again.get("meta", LAST_KEY) as Uint8Array)).toBe(5);
    expect(() => lastWholeBatch(again)).toThrow(/row 23 is not row 3 of batch 5/);
    await again.close();
  });

  test("is JOURNAL_DAMAGED after a kill, once the mark was written", async () => {
    const store = await open();
    await commitTo(store, 3);
    await vi.waitUntil(() => marked() === 3, { timeout: 60_000 });
    const killed = asKilled();
    await store.close();
    const { path, at } = records(killed).at(-1) as Place;
    flip(path, at + 50);
    expect(await refusal(killed)).toMatch(/commit 3 is missing, and 3 was synced/);
  });

  test("goes without it when the mark is deleted, and the folder works again", async () => {
    const store = await open();
    await commitTo(store, 5);
    await store.close();
    const { path, at } = records().at(-1) as Place;
    flip(path, at + 50);
    await refusal();
    unlinkSync(join(folder, MARK));
    const again = await open();
    expect(lastWholeBatch(again)).toBe(4);
    await commitTo(again, 7);
    await again.close();
    expect(marked()).toBe(7);
    const third = await open();
    expect(lastWholeBatch(third)).toBe(7);
    await third.close();
  });
});

describe("the newest file of the log", () => {
  test("is missed, also where all that is left is whole", async () => {
    const store = await open();
    await commitTo(store, 60);
    await store.close();
    const places = records();
    const newest = (places.at(-1) as Place).path;
    const lost = places.find(({ path }) => path === newest) as Place;
    unlinkSync(newest);
    expect(await refusal()).toMatch(
      new RegExp(
        `commit ${lost.number} is missing, and 60 was synced: put the log's newest file back`,
      ),
    );
  });

  test("is missed for what lmdb has, which the mark does not excuse", async () => {
    const firstOfNewest = (): Place => {
      const newest = records().at(-1) as Place;
      return records().find(({ path }) => path === newest.path) as Place;
    };
    /** The commit up to which lmdb holds no older states. */
    const syncedBelow = async (): Promise<number> => {
      const lmdb = await lmdbEngine().open({ dataDir: folder, bytesMax: 2 ** 30 });
      const row = decodeWalRow(lmdb.get("meta", WAL_KEY) as Uint8Array);
      await lmdb.close();
      return row?.synced ?? 0;
    };
    for (let last = 20; ; last += 20) {
      const store = await open();
      await commitTo(store, last);
      await store.close();
      if ((await syncedBelow()) >= firstOfNewest().number) break;
      expect(last).toBeLessThan(2_000);
    }
    unlinkSync(firstOfNewest().path);
    unlinkSync(join(folder, MARK));
    expect(await refusal()).toMatch(
      /was synced: put the log's newest file back, or an older copy of the whole folder$/,
    );
  });
});

describe("the mark", () => {
  test("is not needed: without it, or with one that cannot be read, nothing else is wrong", async () => {
    const store = await open();
    await commitTo(store, 5);
    await store.close();
    expect(marked()).toBe(5);
    const damage = [
      () => unlinkSync(join(folder, MARK)),
      () => writeFileSync(join(folder, MARK), ""),
      () => flip(join(folder, MARK), 9),
    ];
    for (const hurt of damage) {
      hurt();
      const again = await open();
      expect(lastWholeBatch(again)).toBe(5);
      await again.close();
      expect(marked()).toBe(5);
    }
  });

  test("of another journal says nothing", async () => {
    const store = await open();
    await commitTo(store, 5);
    await store.close();
    const foreign = readFileSync(join(folder, MARK));
    rmSync(folder, { recursive: true });
    const other = await open();
    await commitTo(other, 2);
    await other.close();
    writeFileSync(join(folder, MARK), foreign);
    const again = await open();
    expect(lastWholeBatch(again)).toBe(2);
    await again.close();
  });
});

describe("a start that was cut off", () => {
  test("before lmdb knew of the log leaves files that the next one removes", async () => {
    const lmdb = await lmdbEngine().open({ dataDir: folder, bytesMax: 2 ** 30 });
    await lmdb.commit(batchOf(1));
    await lmdb.close();
    const other = join(base, "other");
    await (await open(other)).close();
    cpSync(join(other, "journal.wal.1"), join(folder, "journal.wal.7"));
    const store = await open();
    await commitTo(store, 3);
    await store.close();
    expect(readdirSync(folder)).not.toContain("journal.wal.7");
    const again = await open();
    expect(lastWholeBatch(again)).toBe(3);
    await again.close();
  });
});
