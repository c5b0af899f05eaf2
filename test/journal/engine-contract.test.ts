/** The contract suite must fail on engines that are broken on purpose, each by a check that names it. */

import { expect, test } from "vitest";
import { memoryEngine } from "../../src/journal/memory/memory-engine.ts";
import type {
  JournalEngine,
  JournalStore,
  StoreEntry,
  StoreWrite,
} from "../../src/ports/journal-store.ts";
import { CHECKS, runCheck } from "./engine-contract.ts";

type Breakage = (store: JournalStore) => Partial<JournalStore>;

/** A memory engine whose stores have some methods replaced. */
function broken(breakage: Breakage): JournalEngine {
  const inner = memoryEngine();
  return {
    name: "broken",
    async open(options) {
      const store = await inner.open(options);
      const whole: JournalStore = {
        commit: (writes) => store.commit(writes),
        get: (table, key) => store.get(table, key),
        scan: (table, options) => store.scan(table, options),
        bytesOnDisk: () => store.bytesOnDisk(),
        close: () => store.close(),
      };
      return { ...whole, ...breakage(store) };
    },
  };
}

async function failingChecks(engine: JournalEngine): Promise<string[]> {
  const failing: string[] = [];
  const features = { persistent: true, valueBytesMax: 1_000_004 };
  for (const check of CHECKS) {
    await runCheck(check, { engine, features }).catch(() => failing.push(check.name));
  }
  return failing;
}

const shared = (bytes: Uint8Array) => new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);

const MUTANTS: readonly { name: string; caughtBy: string; breakage: Breakage }[] = [
  {
    name: "splits a commit in two",
    caughtBy: "shows a commit as soon as its promise resolved, and never a part of one",
    breakage: (store) => ({
      async commit(writes: readonly StoreWrite[]) {
        await store.commit(writes.slice(0, 1));
        await store.commit(writes.slice(1));
      },
    }),
  },
  {
    name: "resolves before the commit is done",
    caughtBy: "shows a commit as soon as its promise resolved, and never a part of one",
    breakage: (store) => ({
      async commit(writes: readonly StoreWrite[]) {
        setImmediate(() => void store.commit(writes).catch(() => {}));
      },
    }),
  },
  {
    name: "takes a range's upper bound in",
    caughtBy: "takes a range's lower bound in and its upper bound out, forward and in reverse",
    breakage: (store) => ({
      scan(table, options) {
        if (options.to === undefined) return store.scan(table, options);
        return store.scan(table, { ...options, to: Uint8Array.of(...options.to, 0) });
      },
    }),
  },
  {
    name: "orders keys as signed bytes",
    caughtBy: "orders keys as unsigned bytes, a prefix before what it is a prefix of",
    breakage: (store) => ({
      scan(table, options) {
        const signed = ({ key }: StoreEntry) => Int8Array.from(key)[0] ?? 0;
        return store.scan(table, options).sort((a, b) => signed(a) - signed(b));
      },
    }),
  },
  {
    name: "hands out one buffer again and again",
    caughtBy: "hands out copies, which neither later commits nor the caller's changes reach",
    breakage: (store) => {
      const reused = new Uint8Array(2 ** 20);
      return {
        get(table, key) {
          const value = store.get(table, key);
          if (value === undefined) return undefined;
          reused.set(value);
          return shared(reused.subarray(0, value.length));
        },
      };
    },
  },
  {
    name: "forgets removals",
    caughtBy: "takes a queue's life: append behind, remove in front",
    breakage: (store) => ({
      commit: (writes: readonly StoreWrite[]) =>
        store.commit(writes.filter(({ value }) => value !== undefined)),
    }),
  },
  {
    name: "commits after close",
    caughtBy: "refuses commits and reads after close, and closes twice",
    breakage: () => ({ close: async () => {} }),
  },
  {
    name: "keeps nothing though it claims to",
    caughtBy: "finds after reopening exactly what was committed",
    breakage: () => ({}),
  },
];

for (const { name, caughtBy, breakage } of MUTANTS) {
  test(`catches an engine that ${name}`, async () => {
    expect(await failingChecks(broken(breakage))).toContain(caughtBy);
  });
}
