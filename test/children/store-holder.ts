/**
 * Opens a store and holds it: `store-holder <dataDir> [engine]`. Prints "open", or the code and message of the
 * error it met, and ends when its input does.
 */
import { writeSync } from "node:fs";
import { MeshError } from "../../src/errors.ts";
import { engineOf } from "./engine-of.ts";

const dataDir = process.argv[2] ?? "";
try {
  const store = await engineOf(process.argv[3]).open({ dataDir, bytesMax: 2 ** 26 });
  process.stdin.on("end", () => void store.close()).resume();
  writeSync(1, "open\n");
} catch (error) {
  writeSync(1, `${MeshError.is(error) ? error.code : "?"} ${(error as Error).message}\n`);
}
