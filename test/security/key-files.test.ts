import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { writeNewFile } from "../../src/security/key-files.ts";

const FILES = 20;
const CONTENT = "-----BEGIN PRIVATE KEY-----\n".repeat(50);

/** Looks for one file after the other without a pause, and says how large each was when it was first there. */
const LOOKS = `
const { parentPort, workerData } = require("node:worker_threads");
const { statSync } = require("node:fs");
const sizes = [];
parentPort.postMessage("looks");
for (const path of workerData) {
  let stats;
  const endMs = Date.now() + 60_000;
  while (stats === undefined && Date.now() < endMs) stats = statSync(path, { throwIfNoEntry: false });
  sizes.push(stats === undefined ? -1 : stats.size);
}
parentPort.postMessage(sizes);
`;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "meshbus-key-files-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("a new file of keys", () => {
  it("is whole from the moment it is there, so that a command may be killed at any moment", async () => {
    const paths = Array.from({ length: FILES }, (_, n) => join(folder, `${n}.key`));
    const worker = new Worker(LOOKS, { eval: true, workerData: paths });
    const said = (): Promise<unknown> =>
      new Promise((resolve) => void worker.once("message", resolve));
    await said();
    const sizes = said();
    for (const path of paths) writeNewFile(path, CONTENT);
    expect(await sizes).toEqual(new Array(FILES).fill(CONTENT.length));
    await worker.terminate();
    expect(readdirSync(folder).length).toBe(FILES);
    expect(statSync(paths[0] as string).mode & 0o777).toBe(0o600);
  });

  it("is never written over another", () => {
    const path = join(folder, "node.key");
    writeFileSync(path, "mine");
    expect(() => writeNewFile(path, CONTENT)).toThrow(/there already/);
    expect([readFileSync(path, "utf8"), readdirSync(folder)]).toEqual(["mine", ["node.key"]]);
  });
});
