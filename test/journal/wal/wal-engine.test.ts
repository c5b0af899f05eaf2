import { lmdbEngine } from "../../../src/journal/lmdb/lmdb-engine.ts";
import { walEngine } from "../../../src/journal/wal/wal-engine.ts";
import { describeEngine } from "../engine-contract.ts";

describeEngine("wal", {
  engine: walEngine(lmdbEngine()),
  features: { persistent: true, valueBytesMax: 64 * 1024 * 1024 },
});
