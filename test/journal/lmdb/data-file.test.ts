import {
  closeSync,
  copyFileSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { MeshError } from "../../../src/errors.ts";
import { lmdbEngine } from "../../../src/journal/lmdb/lmdb-engine.ts";
import { put, text } from "../engine-contract.ts";

let folder = "";
let path = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "meshbus-file-"));
  path = join(folder, "data", "journal.lmdb");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const openStore = () => lmdbEngine().open({ dataDir: join(folder, "data"), bytesMax: 2 ** 28 });

async function makeStore(blocks: number): Promise<void> {
  const store = await openStore();
  const block = new Uint8Array(64 * 1024).fill(7);
  for (let n = 0; n < blocks; n += 1) await store.commit([put("log", text(`block ${n}`), block)]);
  await store.close();
}

function overwrite(offset: number, bytes: Uint8Array): void {
  const fd = openSync(path, "r+");
  writeSync(fd, bytes, 0, bytes.length, offset);
  closeSync(fd);
}

async function expectDamaged(): Promise<void> {
  const error = await openStore().then(
    () => undefined,
    (reason) => reason,
  );
  expect(MeshError.is(error, "JOURNAL_DAMAGED")).toBe(true);
  expect(error.message).toContain(path);
  expect(error.details).toMatchObject({ path });
}

test("makes the folder 0700 and every file 0600", async () => {
  const store = await openStore();
  expect(statSync(join(folder, "data")).mode & 0o777).toBe(0o700);
  const files = readdirSync(join(folder, "data"));
  expect(files.sort()).toEqual(["journal.lmdb", "journal.lmdb-lock", "lock.pid", "lock.sock"]);
  for (const file of files) {
    expect([file, statSync(join(folder, "data", file)).mode & 0o777]).toEqual([file, 0o600]);
  }
  await store.close();
});

test.each([0, 1, 100, 4096, 8191, 8192, 100_000])(
  "calls a file cut to %i bytes damaged",
  async (length) => {
    await makeStore(60);
    truncateSync(path, length);
    await expectDamaged();
    await expectDamaged(); // and the refused open has let go of the folder
  },
);

test("calls garbage damaged, whatever its length", async () => {
  await makeStore(1);
  for (const length of [1, 24, 512, 8192, 1_000_000]) {
    writeFileSync(path, Buffer.alloc(length, 0xa5));
    await expectDamaged();
    writeFileSync(path, Buffer.alloc(length));
    await expectDamaged();
  }
});

test("calls a file damaged whose magic, version, page size, length or root is wrong", async () => {
  await makeStore(3);
  const whole = join(folder, "whole");
  copyFileSync(path, whole);
  // Offsets in a meta page: magic 24, version 28, page size 48, main root 136, last page 144.
  for (const base of [0, 4096]) {
    for (const offset of [18, 24, 28, 48, 136, 144]) {
      copyFileSync(whole, path);
      overwrite(base + offset, Buffer.from([0x13, 0x37, 0x13, 0x37]));
      // Fields of the older meta page are not looked at; those of the newer one must be refused.
      const fixed = offset <= 48;
      if (fixed) await expectDamaged();
      else overwrite(4096 - base + offset, Buffer.from([0x13, 0x37, 0x13, 0x37]));
      if (!fixed) await expectDamaged();
    }
  }
  copyFileSync(whole, path);
  const store = await openStore();
  expect(store.get("log", text("block 2"))?.length).toBe(65_536);
  await store.close();
});

test("starts anew when it was killed while creating its file", async () => {
  await makeStore(0);
  rmSync(path);
  writeFileSync(`${path}.new`, Buffer.alloc(5_000, 0xa5));
  writeFileSync(`${path}.new-lock`, "");
  const store = await openStore();
  await store.commit([put("log", text("k"), text("v"))]);
  await store.close();
  expect(readdirSync(join(folder, "data")).sort()).toEqual(["journal.lmdb", "journal.lmdb-lock"]);
});

test("says INVALID_OPTIONS for a data folder that is a file", async () => {
  writeFileSync(join(folder, "data"), "");
  await expect(openStore()).rejects.toMatchObject({ code: "INVALID_OPTIONS" });
});

test("keeps its file from growing while a queue of blocks passes through", async () => {
  const store = await openStore();
  const block = new Uint8Array(64 * 1024);
  let sizeHalfWay = 0;
  for (let n = 0; n < 400; n += 1) {
    await store.commit([
      put("log", text(`block ${String(n).padStart(5, "0")}`), block),
      { table: "log", key: text(`block ${String(n - 20).padStart(5, "0")}`), value: undefined },
    ]);
    if (n === 200) sizeHalfWay = store.bytesOnDisk();
  }
  expect(store.bytesOnDisk()).toBe(sizeHalfWay);
  expect(store.bytesOnDisk()).toBeLessThan(16 * 1024 * 1024);
  await store.close();
});
