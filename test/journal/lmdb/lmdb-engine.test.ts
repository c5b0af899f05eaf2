import { lmdbEngine } from "../../../src/journal/lmdb/lmdb-engine.ts";
import { describeEngine } from "../engine-contract.ts";

describeEngine("lmdb", {
  engine: lmdbEngine(),
  features: { persistent: true, valueBytesMax: 64 * 1024 * 1024 },
});
