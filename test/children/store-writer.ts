/**
 * Commits numbered batches until it is killed: `store-writer <dataDir> [engine]`. Prints "open <last>", then the
 * number of each batch whose commit resolved. What batch n must leave behind is in `batchOf`, which the
 * parent checks after reopening.
 */
import { writeSync } from "node:fs";
import { batchOf, LAST_KEY, numberOf } from "../journal/numbered-batch.ts";
import { engineOf } from "./engine-of.ts";

const IN_FLIGHT = 4;

const dataDir = process.argv[2] ?? "";
const store = await engineOf(process.argv[3]).open({ dataDir, bytesMax: 2 ** 30 });
const last = store.get("meta", LAST_KEY);
let next = last === undefined ? 1 : numberOf(last) + 1;
writeSync(1, `open ${next - 1}\n`);

async function writeForever(): Promise<never> {
  for (;;) {
    const number = next;
    next += 1;
    await store.commit(batchOf(number));
    writeSync(1, `${number}\n`);
  }
}

await Promise.all(Array.from({ length: IN_FLIGHT }, writeForever));
