/**
 * A folder that lmdb alone has used gets a log in front of it: where there is no room for one, and so that versions
 * that know of no log refuse it from then on.
 */

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MeshError } from "../../../src/errors.ts";
import { createNode } from "../../../src/index.ts";
import { lmdbEngine } from "../../../src/journal/lmdb/lmdb-engine.ts";
import { META } from "../../../src/runtime/journal/meta-rows.ts";
import { childPath } from "../store-child.ts";

const canMount =
  spawnSync("unshare", ["-m", "sh", "-c", "mount -t tmpfs -o size=1m none /mnt"], {
    stdio: "ignore",
  }).status === 0;

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "meshbus-wal-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe.runIf(canMount)("on a full disk", () => {
  test("a folder of lmdb alone goes on so, and gets its log when there is room", () => {
    const script = `
      mount -t tmpfs -o size=16m none /mnt && "$0" "$1" /mnt/data 20 65536 lmdb
      (cat /dev/zero > /mnt/filler || true)
      echo full; "$0" "$1" /mnt/data 99 65536 wal; ls /mnt/data
      rm /mnt/filler
      echo free; "$0" "$1" /mnt/data 1 65536 wal; ls /mnt/data`;
    const run = spawnSync(
      "unshare",
      ["-m", "sh", "-c", script, process.execPath, childPath("store-faults")],
      { encoding: "utf8" },
    );
    const [, full = "", free = ""] = run.stdout.split(/^(?:full|free)$/m);
    // A block has no room, a cursor has.
    expect(full).toMatch(/"number":99,"outcome":"full".*\n.*"number":0,"outcome":"ok"/);
    expect(full).not.toContain("journal.wal");
    expect(free).toMatch(/"number":1,"outcome":"ok".*\n.*"number":0,"outcome":"ok"/);
    expect(free).toContain("journal.wal.1");
  });
});

describe("an older version", () => {
  /** What lmdb alone shows of the epoch; the fifth byte is the row's version, and older ones know 1. */
  const epochRow = async (): Promise<Buffer> => {
    const lmdb = await lmdbEngine().open({ dataDir: folder, bytesMax: 2 ** 30 });
    const row = Buffer.from(lmdb.get("meta", META.epoch) ?? []);
    await lmdb.close();
    expect(row.readUInt32BE(0)).toBe(crc32(row.subarray(4)));
    return row;
  };
  const start = () =>
    createNode({ service: "s", mesh: "takeover", dataDir: folder, discovery: [] });

  test("refuses a folder from the first start on, before lmdb has anything else of the node", async () => {
    const node = await start();
    const { id } = node;
    await node.stop();
    expect(readdirSync(folder)).toContain("journal.wal.1");
    const row = await epochRow();
    expect([row[4], row.readUInt32BE(5)]).toEqual([2, 0]);
    const again = await start();
    expect(again.id).toBe(id);
    await again.stop();
  });

  test("refuses a folder that it had, of which the epoch and the node stay what they were", async () => {
    const first = await start();
    const { id } = first;
    await first.stop();
    // As an older version left it: without a log, its rows in lmdb, the epoch's of version 1.
    const EPOCH = 4_000_000_000;
    const body = Buffer.alloc(1 + 24);
    body[0] = 1;
    body.writeUInt32BE(EPOCH, 1);
    const old = Buffer.concat([Buffer.alloc(4), body]);
    old.writeUInt32BE(crc32(body), 0);
    rmSync(folder, { recursive: true });
    const lmdb = await lmdbEngine().open({ dataDir: folder, bytesMax: 2 ** 30 });
    const name = Buffer.concat([Buffer.alloc(4), Buffer.from([1]), Buffer.from(id, "latin1")]);
    name.writeUInt32BE(crc32(name.subarray(4)), 0);
    await lmdb.commit([
      { table: "meta", key: META.epoch, value: old },
      { table: "meta", key: META.node, value: name },
    ]);
    await lmdb.close();

    const node = await start();
    expect(node.id).toBe(id);
    expect((await node.publish("a.b", 1)).position.epoch).toBe(EPOCH + 1);
    await node.stop();
    const row = await epochRow();
    expect([row[4], row.readUInt32BE(5)]).toEqual([2, EPOCH]);
  });

  test("of the epoch's row says which version it met and which it knows", async () => {
    const lmdb = await lmdbEngine().open({ dataDir: folder, bytesMax: 2 ** 30 });
    const row = Buffer.alloc(29);
    row[4] = 3;
    row.writeUInt32BE(crc32(row.subarray(4)), 0);
    await lmdb.commit([{ table: "meta", key: META.epoch, value: row }]);
    await lmdb.close();
    const failed = await start().catch((error: unknown) => error);
    expect(MeshError.is(failed, "JOURNAL_DAMAGED")).toBe(true);
    expect(String(failed)).toContain("the stored epoch has format version 3; known is 2");
  });
});
