import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { MeshError } from "../../../src/errors.ts";
import { FolderLock } from "../../../src/journal/lmdb/folder-lock.ts";
import { lmdbEngine } from "../../../src/journal/lmdb/lmdb-engine.ts";
import { startChild } from "../store-child.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "meshbus-lock-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function refusal(open: Promise<unknown>): Promise<MeshError> {
  try {
    await open;
  } catch (error) {
    if (MeshError.is(error)) return error;
    throw error;
  }
  throw new Error("it was opened");
}

const openStore = (dataDir: string) => lmdbEngine().open({ dataDir, bytesMax: 2 ** 26 });

test("refuses a folder that another process has open, and names that process", async () => {
  const holder = startChild({ name: "store-holder", args: [folder] });
  try {
    expect(await holder.line()).toBe("open");
    const error = await refusal(openStore(folder));
    expect(error.code).toBe("JOURNAL_LOCKED");
    expect(error.details).toMatchObject({ pid: holder.process.pid });
    expect(error.message).toContain(`process ${holder.process.pid}`);
  } finally {
    await holder.kill();
  }
});

test("opens at once what a killed process had open", async () => {
  for (let round = 0; round < 3; round += 1) {
    const holder = startChild({ name: "store-holder", args: [folder] });
    expect(await holder.line()).toBe("open");
    await holder.kill();
    const store = await openStore(folder);
    await store.close();
  }
});

test("lets one of many simultaneous starters in", async () => {
  const opened = await Promise.allSettled(Array.from({ length: 8 }, () => openStore(folder)));
  const stores = opened.filter((result) => result.status === "fulfilled");
  expect(stores.length).toBe(1);
  for (const { value } of stores) await value.close();
  const children = Array.from({ length: 3 }, () =>
    startChild({ name: "store-holder", args: [folder] }),
  );
  const lines = await Promise.all(children.map((child) => child.line()));
  expect(lines.filter((line) => line === "open").length).toBe(1);
  await Promise.all(children.map((child) => child.kill()));
});

test("knows the folder by any of its names", async () => {
  const dataDir = join(folder, "data");
  const other = join(folder, "link");
  mkdirSync(dataDir);
  symlinkSync(dataDir, other);
  const store = await openStore(dataDir);
  expect((await refusal(openStore(other))).code).toBe("JOURNAL_LOCKED");
  expect((await refusal(openStore(`${folder}/./data/`))).code).toBe("JOURNAL_LOCKED");
  await store.close();
  await (await openStore(other)).close();
});

test("is not fooled by what dead holders leave, whatever process has their number now", async () => {
  // The process named here lives, but holds nothing; the socket file is of a server long gone.
  writeFileSync(join(folder, "lock.pid"), `${process.pid}\n`);
  const server = createServer();
  const path = join(realpathSync(folder), "first.sock");
  await new Promise<void>((resolve) => server.listen(path, resolve));
  linkSync(path, join(folder, "lock.sock"));
  await new Promise((resolve) => server.close(resolve));
  expect(statSync(join(folder, "lock.sock")).isSocket()).toBe(true);
  await (await openStore(folder)).close();
});

test("finds a holder in another network namespace by the socket in the folder", async () => {
  // Such a holder does not have the machine-wide name of this namespace, only the socket file.
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(join(folder, "lock.sock"), resolve));
  writeFileSync(join(folder, "lock.pid"), "4242\n");
  const error = await refusal(openStore(folder));
  expect(error).toMatchObject({ code: "JOURNAL_LOCKED", details: { pid: 4242 } });
  await new Promise((resolve) => server.close(resolve));
  await (await openStore(folder)).close();
});

test("is free again after release, with nothing left behind", async () => {
  for (let round = 0; round < 3; round += 1) {
    const lock = await FolderLock.acquire(folder);
    expect((await refusal(FolderLock.acquire(folder))).code).toBe("JOURNAL_LOCKED");
    await lock.release();
    expect(readdirSync(folder)).toEqual([]);
  }
});
