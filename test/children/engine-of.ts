/** The engine that a child of the journal's tests is told to use; the default is what nodes use. */
import { lmdbEngine } from "../../src/journal/lmdb/lmdb-engine.ts";
import { walEngine } from "../../src/journal/wal/wal-engine.ts";
import type { JournalEngine } from "../../src/ports/journal-store.ts";

export const engineOf = (name: string | undefined): JournalEngine =>
  name === "lmdb" ? lmdbEngine() : walEngine(lmdbEngine());
