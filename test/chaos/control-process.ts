/**
 * Controls of the method: a writer that syncs each record before it acknowledges it, and two that do not.
 * Right after the last acknowledgement it has the power cut.
 */
import { closeSync, fdatasyncSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { open } from "lmdb";
import { CUT_FD } from "./process-spec.ts";

const [mode = "", folder = "", count = ""] = process.argv.slice(2);

if (mode === "lmdb") {
  const store = open({ path: join(folder, "control.lmdb"), noSync: true });
  for (let n = 0; n < Number(count); n++) await store.put(`record ${n}`, n);
} else {
  const file = openSync(join(folder, "control.txt"), "w");
  for (let n = 0; n < Number(count); n++) {
    writeSync(file, `record ${n}\n`);
    if (mode === "synced") fdatasyncSync(file);
  }
  closeSync(file);
}
writeSync(CUT_FD, "!");
setInterval(() => {}, 1_000); // it is killed: it does not flush by ending
