/** SIGKILL at random points of a process that commits without pause: what every engine on disk must survive. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { engineOf } from "../children/engine-of.ts";
import { lastWholeBatch } from "./numbered-batch.ts";
import { startChild } from "./store-child.ts";

const ROUNDS = 20;

export function describeCrash(engine: string): void {
  test("keeps every acknowledged batch whole through kills at random points", async () => {
    const dataDir = mkdtempSync(join(tmpdir(), "meshbus-crash-"));
    let acknowledged = 0;
    try {
      for (let round = 0; round < ROUNDS; round += 1) {
        const child = startChild({ name: "store-writer", args: [dataDir, engine] });
        await child.line((line) => line.startsWith("open"));
        // The first rounds die at once, the later ones within a run.
        if (round > 2) await child.line((line) => Number(line) > acknowledged);
        await pause(Math.random() * 60); // the point of the kill is the experiment, not a wait
        await child.kill();
        const numbers = child.lines.map(Number).filter((number) => number > 0);
        acknowledged = Math.max(acknowledged, ...numbers);

        const store = await engineOf(engine).open({ dataDir, bytesMax: 2 ** 30 });
        const last = lastWholeBatch(store);
        await store.close();
        expect(last).toBeGreaterThanOrEqual(acknowledged);
      }
      expect(acknowledged).toBeGreaterThan(ROUNDS);
    } finally {
      rmSync(dataDir, { recursive: true, force: true });
    }
  });
}
