/**
 * What every journal engine must keep, as checks that throw.
 *
 * The checks are plain functions, so that one set runs against each engine and, in
 * engine-contract.test.ts, against engines broken on purpose. A feature record says which apply.
 */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, test } from "vitest";
import { MeshError } from "../../src/errors.ts";
import {
  type JournalEngine,
  type JournalStore,
  StoreError,
  type StoreWrite,
  TABLES,
  type Table,
} from "../../src/ports/journal-store.ts";

export type EngineFeatures = {
  /** Data outlives close and open. */
  readonly persistent: boolean;
  /** Largest value tried, in bytes. */
  readonly valueBytesMax: number;
};

export type EngineUnderTest = {
  readonly engine: JournalEngine;
  readonly features: EngineFeatures;
};

type Check = {
  readonly name: string;
  readonly needs?: "persistent";
  run(store: JournalStore, context: CheckContext): Promise<void>;
};

type CheckContext = {
  readonly features: EngineFeatures;
  /** Closes the store and opens the same folder again. */
  reopen(): Promise<JournalStore>;
  /** A second open of the same folder. */
  openAgain(): Promise<JournalStore>;
  /** A store of its own, of a given size. */
  openSized(bytesMax: number): Promise<JournalStore>;
};

const BYTES_MAX = 2 ** 31;
const utf8 = new TextEncoder();

export const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
export const text = (value: string): Uint8Array => utf8.encode(value);
export const put = (table: Table, key: Uint8Array, value: Uint8Array): StoreWrite => ({
  table,
  key,
  value,
});
export const remove = (table: Table, key: Uint8Array): StoreWrite => ({
  table,
  key,
  value: undefined,
});

function number(value: number): Uint8Array {
  const key = new Uint8Array(8);
  new DataView(key.buffer).setBigUint64(0, BigInt(value));
  return key;
}

function keysOf(store: JournalStore, table: Table, reverse = false): string[] {
  const entries = store.scan(table, { limit: 10_000, reverse });
  return entries.map(({ key }) => Buffer.from(key).toString("hex"));
}

async function storeFailure(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof StoreError, `expected a StoreError, got ${String(error)}`);
    return error.failure;
  }
  return "none";
}

export const CHECKS: readonly Check[] = [
  {
    name: "gives back what was put, in every table apart from the others",
    async run(store) {
      await store.commit(TABLES.map((table) => put(table, text("key"), text(table))));
      for (const table of TABLES) {
        assert.deepEqual(store.get(table, text("key")), text(table));
        assert.equal(store.scan(table, { limit: 10 }).length, 1);
        assert.equal(store.get(table, text("kez")), undefined);
      }
    },
  },
  {
    name: "replaces, removes, and ignores the removal of what is not there",
    async run(store) {
      await store.commit([put("meta", text("a"), text("1")), remove("meta", text("none"))]);
      await store.commit([put("meta", text("a"), text("22")), put("meta", text("b"), bytes())]);
      assert.deepEqual(store.get("meta", text("a")), text("22"));
      assert.deepEqual(store.get("meta", text("b")), bytes());
      await store.commit([remove("meta", text("a"))]);
      assert.equal(store.get("meta", text("a")), undefined);
      assert.deepEqual(keysOf(store, "meta"), ["62"]);
    },
  },
  {
    name: "applies the writes of one commit in their order",
    async run(store) {
      const key = text("k");
      await store.commit([
        put("log", key, text("1")),
        remove("log", key),
        put("log", key, text("3")),
      ]);
      assert.deepEqual(store.get("log", key), text("3"));
      await store.commit([put("log", key, text("4")), remove("log", key)]);
      assert.equal(store.get("log", key), undefined);
    },
  },
  {
    name: "orders keys as unsigned bytes, a prefix before what it is a prefix of",
    async run(store) {
      const sorted = [
        "00",
        "0000",
        "0001",
        "00ff",
        "01",
        "7f",
        "7fff",
        "80",
        "fe",
        "ff",
        "ff00",
        "ffff",
      ];
      const shuffled = [5, 0, 11, 3, 8, 1, 9, 7, 2, 10, 4, 6].map((at) => sorted[at] ?? "");
      await store.commit(shuffled.map((hex) => put("log", Buffer.from(hex, "hex"), text(hex))));
      assert.deepEqual(keysOf(store, "log"), sorted);
      assert.deepEqual(keysOf(store, "log", true), [...sorted].reverse());
    },
  },
  {
    name: "takes a range's lower bound in and its upper bound out, forward and in reverse",
    async run(store) {
      await store.commit([10, 20, 30, 40].map((n) => put("log", bytes(n), bytes(n))));
      const range = (from: number, to: number, reverse: boolean, limit = 10) =>
        store
          .scan("log", { from: bytes(from), to: bytes(to), limit, reverse })
          .map(({ key }) => key[0]);
      for (const reverse of [false, true]) {
        const inOrder = (...keys: number[]) => (reverse ? keys.reverse() : keys);
        assert.deepEqual(range(20, 40, reverse), inOrder(20, 30));
        assert.deepEqual(range(19, 41, reverse), inOrder(20, 30, 40));
        assert.deepEqual(range(20, 20, reverse), []);
        assert.deepEqual(range(30, 20, reverse), []);
        assert.deepEqual(range(41, 99, reverse), []);
        assert.deepEqual(range(0, 255, reverse, 2), reverse ? [40, 30] : [10, 20]);
        assert.deepEqual(range(0, 255, reverse, 0), []);
      }
    },
  },
  {
    name: "agrees with a sorted list on any writes and ranges",
    async run(store) {
      await agreesWithModel(store);
    },
  },
  {
    name: "hands out copies, which neither later commits nor the caller's changes reach",
    async run(store) {
      const key = text("k");
      await store.commit([put("log", key, text("first")), put("log", text("l"), text("other"))]);
      const got = store.get("log", key);
      const scanned = store.scan("log", { limit: 2 });
      await store.commit([put("log", key, text("again"))]);
      store.get("log", text("l"));
      assert.deepEqual(got, text("first"));
      assert.deepEqual(scanned[0]?.value, text("first"));
      assert.deepEqual(scanned[1]?.key, text("l"));
      store.get("log", key)?.fill(0);
      for (const entry of store.scan("log", { limit: 2 })) {
        entry.key.fill(0);
        entry.value.fill(0);
      }
      assert.deepEqual(store.get("log", key), text("again"));
      assert.deepEqual(keysOf(store, "log"), ["6b", "6c"]);
    },
  },
  {
    name: "keeps its own copy once a commit resolved",
    async run(store) {
      const key = Buffer.from("key");
      const value = Buffer.from("value");
      await store.commit([put("log", key, value)]);
      key.fill(0);
      value.fill(0);
      assert.deepEqual(store.get("log", text("key")), text("value"));
      assert.deepEqual(keysOf(store, "log"), ["6b6579"]);
    },
  },
  {
    name: "commits calls made together in the order of the calls",
    async run(store) {
      const settled: number[] = [];
      const commits = Array.from({ length: 200 }, (_, n) =>
        store
          .commit([put("log", number(n), number(n)), put("meta", text("last"), number(n))])
          .then(() => settled.push(n)),
      );
      await Promise.all(commits);
      assert.deepEqual(
        settled,
        [...settled].sort((a, b) => a - b),
      );
      assert.deepEqual(store.get("meta", text("last")), number(199));
      assert.equal(store.scan("log", { limit: 1000 }).length, 200);
    },
  },
  {
    name: "shows a commit as soon as its promise resolved, and never a part of one",
    async run(store) {
      const tables: Table[] = ["log", "cursor", "state", "dead"];
      let torn = 0;
      const look = () => {
        const seen = tables.map((table) =>
          Buffer.from(store.get(table, text("n")) ?? []).toString("hex"),
        );
        if (new Set(seen).size !== 1) torn += 1;
        return seen[0];
      };
      for (let n = 0; n < 50; n += 1) {
        const done = store.commit(tables.map((table) => put(table, text("n"), number(n))));
        look();
        await Promise.resolve();
        look();
        await done;
        assert.equal(look(), Buffer.from(number(n)).toString("hex"));
      }
      assert.equal(torn, 0);
    },
  },
  {
    name: "refuses a key of 0 or 512 bytes with nothing of the commit written, and takes 511",
    async run(store) {
      for (const length of [0, 512, 5000]) {
        const writes = [
          put("log", text("a"), text("a")),
          put("log", new Uint8Array(length), text("b")),
        ];
        await assert.rejects(store.commit(writes), (error) =>
          MeshError.is(error, "INVALID_OPTIONS"),
        );
      }
      assert.equal(store.get("log", text("a")), undefined);
      const longest = new Uint8Array(511).fill(0xff);
      await store.commit([
        put("log", longest, text("long")),
        put("log", bytes(0xff), text("short")),
      ]);
      assert.deepEqual(store.get("log", longest), text("long"));
      assert.deepEqual(store.scan("log", { from: bytes(0xff, 0), limit: 5 }).length, 1);
    },
  },
  {
    name: "keeps large values whole",
    async run(store, { features }) {
      for (const length of [2_000, 4_096, 65_536, 1_000_003, features.valueBytesMax]) {
        const value = new Uint8Array(length);
        for (let at = 0; at < length; at += 997) value[at] = at % 251;
        await store.commit([put("log", number(length), value)]);
        assert.ok(Buffer.from(store.get("log", number(length)) ?? []).equals(value));
        assert.equal(
          store.scan("log", { from: number(length), limit: 1 })[0]?.value.length,
          length,
        );
      }
    },
  },
  {
    name: "takes a queue's life: append behind, remove in front",
    async run(store) {
      for (let n = 0; n < 3_000; n += 100) {
        const writes: StoreWrite[] = [];
        for (let at = n; at < n + 100; at += 1) {
          writes.push(put("log", number(at), number(at)));
          if (at >= 1_000) writes.push(remove("log", number(at - 1_000)));
        }
        await store.commit(writes);
      }
      const left = store.scan("log", { limit: 5_000 });
      assert.equal(left.length, 1_000);
      assert.deepEqual(left[0]?.key, number(2_000));
      assert.deepEqual(store.scan("log", { limit: 1, reverse: true })[0]?.key, number(2_999));
    },
  },
  {
    name: "refuses as full what exceeds bytesMax, whole, and goes on with what frees room",
    async run(_store, { openSized }) {
      const store = await openSized(8 * 1024 * 1024);
      try {
        const block = new Uint8Array(64 * 1024);
        let kept = 0;
        let failure = "none";
        while (failure === "none" && kept < 500) {
          const writes = [put("log", number(kept), block), put("meta", text("last"), number(kept))];
          failure = await storeFailure(store.commit(writes));
          if (failure === "none") kept += 1;
        }
        assert.equal(failure, "full");
        assert.ok(kept > 30 && kept < 130, `kept ${kept} blocks of 64 KiB in 8 MiB`);
        assert.equal(store.get("log", number(kept)), undefined);
        assert.deepEqual(store.get("meta", text("last")), number(kept - 1));
        for (let n = 0; n < kept; n += 1) await store.commit([remove("log", number(n))]);
        for (let n = 0; n < kept; n += 1) await store.commit([put("log", number(n), block)]);
      } finally {
        await store.close();
      }
    },
  },
  {
    name: "refuses commits and reads after close, and closes twice",
    async run(store) {
      const last = store.commit([put("log", text("k"), text("v"))]);
      const closed = store.close();
      const late = storeFailure(store.commit([put("log", text("late"), text("v"))]));
      await last;
      assert.equal(await late, "closed");
      await closed;
      await store.close();
      assert.equal(await storeFailure(store.commit([put("log", text("k"), text("v"))])), "closed");
      assert.throws(() => store.get("log", text("k")), StoreError);
      assert.throws(() => store.scan("log", { limit: 1 }), StoreError);
    },
  },
  {
    name: "opens a folder once, and again after close",
    async run(store, { openAgain, reopen }) {
      await assert.rejects(openAgain(), (error) => {
        assert.ok(MeshError.is(error, "JOURNAL_LOCKED"));
        assert.equal(error.details.pid, process.pid);
        return true;
      });
      await store.commit([put("log", text("k"), text("v"))]);
      const again = await reopen();
      await again.commit([put("log", text("l"), text("v"))]);
      assert.deepEqual(again.get("log", text("l")), text("v"));
    },
  },
  {
    name: "finds after reopening exactly what was committed",
    needs: "persistent",
    async run(store, { reopen }) {
      await store.commit([put("log", bytes(1), text("one")), put("cursor", bytes(0), text("c"))]);
      const last = store.commit([put("log", bytes(2), text("two"))]);
      const [again] = await Promise.all([reopen(), last]); // close waits for it
      assert.deepEqual(again.get("cursor", bytes(0)), text("c"));
      assert.deepEqual(keysOf(again, "log"), ["01", "02"]);
      await again.commit([remove("log", bytes(1))]);
      assert.deepEqual(keysOf(await reopen(), "log"), ["02"]);
    },
  },
];

/** Runs one check against a fresh store. */
export async function runCheck(check: Check, { engine, features }: EngineUnderTest): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), "meshbus-engine-"));
  const options = { dataDir, bytesMax: BYTES_MAX };
  let store = await engine.open(options);
  try {
    await check.run(store, {
      features,
      openAgain: () => engine.open(options),
      openSized: (bytesMax) => engine.open({ dataDir: join(dataDir, "sized"), bytesMax }),
      async reopen() {
        await store.close();
        store = await engine.open(options);
        return store;
      },
    });
  } finally {
    await store.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

export function describeEngine(name: string, subject: EngineUnderTest): void {
  describe(`journal engine ${name}`, () => {
    for (const check of CHECKS) {
      const applies = check.needs === undefined || subject.features[check.needs];
      test.runIf(applies)(check.name, () => runCheck(check, subject));
    }
  });
}

async function agreesWithModel(store: JournalStore): Promise<void> {
  const key = fc
    .array(fc.constantFrom(0x00, 0x01, 0x7f, 0x80, 0xff), { minLength: 1, maxLength: 3 })
    .map((values) => Uint8Array.from(values));
  const change = fc.record({
    key,
    value: fc.option(fc.uint8Array({ maxLength: 4 }), { nil: undefined }),
  });
  const bound = fc.option(key, { nil: undefined });
  const scan = fc.record({
    from: bound,
    to: bound,
    limit: fc.nat({ max: 8 }),
    reverse: fc.boolean(),
  });
  const rounds = fc.record({
    changes: fc.array(change, { maxLength: 12 }),
    scans: fc.array(scan, { minLength: 1, maxLength: 6 }),
  });
  const model = new Map<string, string>();
  const hex = (value: Uint8Array) => Buffer.from(value).toString("hex");
  const property = fc.asyncProperty(rounds, async ({ changes, scans }) => {
    await store.commit(changes.map(({ key: at, value }) => ({ table: "state", key: at, value })));
    for (const { key: at, value } of changes) {
      if (value === undefined) model.delete(hex(at));
      else model.set(hex(at), hex(value));
    }
    for (const { from, to, limit, reverse } of scans) {
      const expected = [...model]
        .filter(
          ([at]) => (from === undefined || at >= hex(from)) && (to === undefined || at < hex(to)),
        )
        .sort(([a], [b]) => (a < b ? -1 : 1));
      if (reverse) expected.reverse();
      const options = {
        limit,
        reverse,
        ...(from === undefined ? {} : { from }),
        ...(to === undefined ? {} : { to }),
      };
      const found = store.scan("state", options).map((entry) => [hex(entry.key), hex(entry.value)]);
      assert.deepEqual(found, expected.slice(0, limit));
    }
  });
  await fc.assert(property, { numRuns: 150, seed: 20_260 });
}
