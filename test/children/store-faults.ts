/**
 * Commits blocks while its system calls are made to fail: `store-faults <dataDir> <count> <blockBytes> [engine]`.
 * Prints one JSON line for each commit: the outcome, how long it took, and what reads show then.
 */
import { writeSync } from "node:fs";
import { type JournalStore, StoreError, type StoreWrite } from "../../src/ports/journal-store.ts";
import { LAST_KEY, numberKey, numberOf } from "../journal/numbered-batch.ts";
import { engineOf } from "./engine-of.ts";

const [dataDir = "", count = "0", blockBytes = "0"] = process.argv.slice(2);

async function outcomeOf(store: JournalStore, writes: readonly StoreWrite[]): Promise<string> {
  try {
    await store.commit(writes);
    return "ok";
  } catch (error) {
    return error instanceof StoreError ? error.failure : String(error);
  }
}

const store = await engineOf(process.argv[5]).open({ dataDir, bytesMax: 2 ** 30 });
for (let number = 1; number <= Number(count); number += 1) {
  const key = numberKey(number);
  const block = new Uint8Array(Number(blockBytes)).fill(number);
  const startedMs = performance.now();
  const outcome = await outcomeOf(store, [
    { table: "log", key, value: block },
    { table: "cursor", key: LAST_KEY, value: key },
  ]);
  const tookMs = performance.now() - startedMs;
  const cursor = store.get("cursor", LAST_KEY);
  const line = {
    number,
    outcome,
    tookMs,
    shown: store.get("log", key) !== undefined,
    cursor: cursor === undefined ? 0 : numberOf(cursor),
  };
  writeSync(1, `${JSON.stringify(line)}\n`);
}
// A cursor row and a removal must be possible when a block is not.
const small = await outcomeOf(store, [
  { table: "cursor", key: LAST_KEY, value: numberKey(0) },
  { table: "log", key: numberKey(1), value: undefined },
]);
await store.close();
writeSync(
  1,
  `${JSON.stringify({ number: 0, outcome: small, tookMs: 0, shown: false, cursor: 0 })}\n`,
);
