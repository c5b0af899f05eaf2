import { describe, expect, it } from "vitest";
import { MeshError } from "../../../src/errors.ts";
import { memoryEngine } from "../../../src/journal/memory/memory-engine.ts";
import type { Block } from "../../../src/runtime/journal/block.ts";
import { Journal } from "../../../src/runtime/journal/journal.ts";
import { JOURNAL_LIMITS } from "../../../src/runtime/journal/journal-options.ts";
import { positionKey, positionOfKey } from "../../../src/runtime/journal/keys.ts";
import { META } from "../../../src/runtime/journal/meta-rows.ts";
import { EnvelopeTemplate, EnvelopeView } from "../../../src/wire/envelope.ts";
import {
  append,
  crc,
  openJournal,
  readAll,
  record,
  seededRandom,
  silent,
  TurnClock,
  textAt,
} from "./journal-fixture.ts";
import { ScriptedStore } from "./scripted-store.ts";

const logBytesOf = (store: ScriptedStore): number =>
  store.scan("log", { limit: 10_000 }).reduce((sum, entry) => sum + entry.value.length, 0);

describe("Journal at open", () => {
  it("keeps its node id and begins a higher epoch with a new nonce", async () => {
    const first = await openJournal();
    expect(first.journal.nodeId).toMatch(/^[0-9a-hjkmnp-tv-z]{20}$/);
    expect(first.journal.epoch).toBe(1_700_000_000);
    expect(first.journal.nonce).toHaveLength(16);
    const second = await openJournal({ store: await first.store.crash(false), seed: 2 });
    expect(second.journal.nodeId).toBe(first.journal.nodeId);
    expect(second.journal.epoch).toBe(1_700_000_001);
    expect(second.journal.nonce).not.toEqual(first.journal.nonce);
  });

  it("follows the clock when it is ahead of the stored epoch", async () => {
    const first = await openJournal();
    const clock = new TurnClock();
    clock.wall += 50_000;
    const second = await openJournal({ store: await first.store.crash(false), clock });
    expect(second.journal.epoch).toBe(1_700_000_050);
  });

  it("is above every epoch in the log although the epoch's row is older", async () => {
    const { journal, store, clock } = await openJournal();
    const old = store.get("meta", META.epoch);
    expect(journal.raiseEpoch(1_700_000_900)).toBe(true);
    await clock.settle();
    append(journal, "a");
    await clock.settle();
    await store.tamper("meta", META.epoch, old);
    const { journal: next } = await openJournal({ store: await store.crash(false) });
    expect(next.epoch).toBe(1_700_000_902);
  });

  it.each(["node", "epoch"] as const)("refuses a damaged row of the %s", async (name) => {
    const { store } = await openJournal();
    const row = store.get("meta", META[name]) as Uint8Array;
    row[8] = (row[8] as number) ^ 1;
    await store.tamper("meta", META[name], row);
    const again = await store.crash(false);
    await expect(openJournal({ store: again })).rejects.toMatchObject({ code: "JOURNAL_DAMAGED" });
  });

  it.each([
    ["full", "DISK_FULL"],
    ["sync", "OUTCOME_UNKNOWN"],
  ] as const)("fails when its epoch cannot be stored: %s", async (failure, code) => {
    const store = await ScriptedStore.open();
    store.failing = { failure, survives: false };
    await expect(openJournal({ store })).rejects.toMatchObject({ code });
  });

  it("counts the log anew when its counters are lost", async () => {
    const { journal, store, clock } = await openJournal({ limits: { blockBytes: 100 } });
    for (let i = 0; i < 100; i++) append(journal, `message ${i}`);
    await clock.settle();
    await store.tamper("meta", META.log, Uint8Array.of(1, 2, 3));
    const { journal: next } = await openJournal({ store: await store.crash(false) });
    expect(next.logBytes).toBe(journal.logBytes);
    expect(next.head).toEqual(journal.head);
    expect(readAll(next)).toHaveLength(100);
  });
});

describe("Journal appending", () => {
  it("gives positions in order and accepts after the sync", async () => {
    const { journal, store, clock, blocks } = await openJournal();
    store.auto = false;
    const [a, b] = [append(journal, "a"), append(journal, "b")];
    await clock.turn();
    const c = append(journal, "c");
    expect([a.seq, b.seq, c.seq]).toEqual([1, 2, 3]);
    expect([a.error, journal.head, journal.read(undefined)]).toEqual([
      "none yet",
      undefined,
      undefined,
    ]);
    expect(blocks).toEqual([]);
    await store.end();
    await clock.turn();
    expect([a.error, b.error, c.error]).toEqual([undefined, undefined, "none yet"]);
    expect(journal.head).toEqual({ epoch: journal.epoch, seq: 2 });
    expect(blocks.map((block) => [block.firstSeq, block.lastSeq])).toEqual([[1, 2]]);
    expect(readAll(journal)).toEqual(["a", "b"]);
  });

  it("tells block listeners before those who wait", async () => {
    const { journal, clock } = await openJournal();
    const order: string[] = [];
    journal.onBlock(() => {
      throw new Error("of a listener");
    });
    journal.onBlock((block) => order.push(`block ${block.lastSeq} ${journal.head?.seq}`));
    journal.append(record("a"));
    journal.onDurable(() => order.push("waiter"));
    await clock.settle();
    expect(order).toEqual(["block 1 1", "waiter"]);
  });

  it("seals blocks at their size and reads them in order, from memory and from the store", async () => {
    const limits = { blockBytes: 200, cacheBytesMax: 600 };
    const { journal, store, clock, blocks } = await openJournal({ limits });
    const texts = Array.from({ length: 300 }, (_, i) => `message ${i}`);
    for (const text of texts) {
      append(journal, text);
      if (text.endsWith("7")) await clock.settle();
    }
    await clock.settle();
    expect(blocks.length).toBeGreaterThan(30);
    expect(readAll(journal)).toEqual(texts);
    expect(journal.cacheBytes).toBeLessThanOrEqual(600 + 150 + 250);
    const { journal: next } = await openJournal({ store: await store.crash(false), limits });
    expect(readAll(next)).toEqual(texts);
    expect(next.head).toEqual(journal.head);
    expect(next.logBytes).toBe(logBytesOf(store));
    // From the middle of a block, of both.
    for (const one of [journal, next]) {
      for (const seq of [1, 5, 77, 150, 299]) {
        const block = one.read({ epoch: journal.epoch, seq }) as Block;
        expect(block.firstSeq).toBeLessThanOrEqual(seq + 1);
        expect(block.lastSeq).toBeGreaterThan(seq);
      }
      expect(one.read({ epoch: journal.epoch, seq: 300 })).toBeUndefined();
    }
  });

  it("keeps the last blocks of large messages, 32 times as many bytes as of small ones", async () => {
    const limits = { blockBytes: 30_000, cacheBytesMax: 90_000 };
    const { journal, clock } = await openJournal({ limits });
    const large = "x".repeat(29_000);
    for (let at = 0; at < 200; at++) {
      append(journal, `${at}${large}`);
      if (at % 40 === 39) await clock.settle();
    }
    // A block of one such message weighs less than a kilobyte: 96 of them and more, not 3.
    expect(journal.cacheBytes).toBeGreaterThan(90 * 29_000);
    expect(journal.cacheBytes).toBeLessThanOrEqual(32 * 90_000);
    for (let at = 0; at < 5_000; at++) append(journal, `small ${at}`);
    await clock.settle();
    for (let at = 0; at < 9_000; at++) append(journal, `small ${at}`);
    await clock.settle();
    expect(journal.cacheBytes).toBeLessThanOrEqual(90_000);
    expect(readAll(journal)).toHaveLength(14_200);
  });

  it("goes on after the end of an epoch", async () => {
    const first = await openJournal();
    append(first.journal, "a");
    await first.clock.settle();
    const second = await openJournal({ store: await first.store.crash(false) });
    append(second.journal, "b");
    await second.clock.settle();
    expect(readAll(second.journal)).toEqual(["a", "b"]);
    const third = await openJournal({ store: await second.store.crash(false) });
    expect(readAll(third.journal)).toEqual(["a", "b"]);
    expect(third.journal.read({ epoch: first.journal.epoch, seq: 999 })?.epoch).toBe(
      second.journal.epoch,
    );
  });

  it("encodes from a template", async () => {
    const { journal, clock, blocks } = await openJournal();
    const template = new EnvelopeTemplate({ subject: "orders.placed", kind: 0 });
    const variables = { key: "k", time: { ms: 5, counter: 1 }, payload: Buffer.from("{}") };
    journal.append(record("", { template, variables, bytes: undefined }));
    await clock.settle();
    const block = blocks[0] as Block;
    const view = new EnvelopeView(block.bytes, block.envelopeStart(0), block.envelopeEnd(0));
    expect([view.subject, view.key]).toEqual(["orders.placed", "k"]);
  });

  it("gives no position to what cannot be encoded", async () => {
    const { journal, clock } = await openJournal();
    expect(() => journal.append(record("", { bytes: undefined }))).toThrow(TypeError);
    expect(() => journal.append(record("", { subject: "s".repeat(70_000) }))).toThrow(RangeError);
    expect(append(journal, "a").seq).toBe(1);
    await clock.settle();
    expect(readAll(journal)).toEqual(["a"]);
  });

  it("appends many in one block, all or none", async () => {
    const { journal, clock, blocks } = await openJournal({ limits: { blockBytes: 300 } });
    append(journal, "before");
    const many = Array.from({ length: 50 }, (_, i) => record(`many ${i}`));
    expect(journal.appendMany(many)).toBe(2);
    const broken = [record("x"), record("", { bytes: undefined })];
    expect(() => journal.appendMany(broken)).toThrow(TypeError);
    expect(append(journal, "after").seq).toBe(52);
    await clock.settle();
    expect(blocks.map((block) => block.count)).toEqual([1, 50, 1]);
    expect(readAll(journal)).toHaveLength(52);
    expect(() => journal.appendMany([])).toThrow(RangeError);
    const large = Array.from({ length: 5 }, () => record("", { bytes: Buffer.alloc(4_000_000) }));
    expect(() => journal.appendMany(large)).toThrow(MeshError);
  });

  it("finds single records by position", async () => {
    const limits = { blockBytes: 150, cacheBytesMax: 300 };
    const { journal, clock } = await openJournal({ limits });
    for (let i = 1; i <= 100; i++) append(journal, `m${i}`);
    const epoch = journal.epoch;
    expect(journal.recordAt({ epoch, seq: 1 })).toBeUndefined();
    await clock.settle();
    for (const seq of [1, 2, 50, 99, 100, 1, 50]) {
      const found = journal.recordAt({ epoch, seq });
      expect(found && textAt(found.block, found.index)).toBe(`m${seq}`);
    }
    for (const none of [
      { epoch, seq: 101 },
      { epoch: epoch - 1, seq: 1 },
      { epoch, seq: 0 },
    ]) {
      expect(journal.recordAt(none)).toBeUndefined();
    }
  });

  it("works over the memory engine as it is", async () => {
    const store = await memoryEngine().open({ dataDir: ":memory:", bytesMax: 2 ** 30 });
    const clock = new TurnClock();
    const random = seededRandom();
    const limits = JOURNAL_LIMITS;
    const journal = await Journal.open({
      store,
      clock,
      random,
      logger: silent,
      crc32: crc,
      limits,
    });
    append(journal, "a");
    await clock.settle();
    expect(readAll(journal)).toEqual(["a"]);
    expect(journal.get("meta", META.log)).toBeDefined();
    expect(journal.scan("log", { limit: 5 })).toHaveLength(1);
    const closed = journal.close();
    await clock.settle();
    await closed;
  });
});

describe("Journal when the disk fails", () => {
  it.each([
    ["sync", "OUTCOME_UNKNOWN", false],
    ["sync", "OUTCOME_UNKNOWN", true],
    ["full", "DISK_FULL", false],
  ] as const)("burns the positions of the batch: %s %s survives %s", async (...how) => {
    const [failure, code, survives] = how;
    const { journal, store, clock, blocks, health } = await openJournal();
    const before = append(journal, "before");
    await clock.settle();
    store.auto = false;
    const flying = append(journal, "flying");
    await clock.turn();
    const behind = append(journal, "behind");
    store.failing = { failure, survives };
    await store.end();
    await clock.turn();
    expect([flying.error, behind.error]).toMatchObject([{ code }, { code }]);
    expect((behind.error as MeshError).details.written).toBe(false);
    expect([journal.accepting, health, journal.pendingBytes]).toEqual([false, [true], 0]);
    expect(() => journal.append(record("refused"))).toThrow(MeshError);
    let waiter: unknown;
    journal.whenRoom(1, (error) => {
      waiter = error?.code;
    });
    expect(waiter).toBe(code);
    // Reading goes on; what failed is never served.
    expect(readAll(journal)).toEqual(["before"]);
    expect(journal.epoch).toBe(before.epoch + 1);

    store.failing = undefined;
    store.auto = true;
    journal.committer.retryAfterFailure();
    await clock.settle();
    expect([journal.accepting, health]).toEqual([true, [true, false]]);
    const after = append(journal, "after");
    await clock.settle();
    expect([after.seq, after.error]).toEqual([1, undefined]);
    expect(readAll(journal)).toEqual(["before", "after"]);
    expect(blocks).toHaveLength(2);
    expect(journal.logBytes).toBe(logBytesOf(store));
    const { journal: next } = await openJournal({ store: await store.crash(false) });
    expect(readAll(next)).toEqual(["before", "after"]);
    expect(next.epoch).toBeGreaterThan(journal.epoch);
  });

  it("may serve after a restart what a failed sync wrote, in its place", async () => {
    const { journal, store, clock } = await openJournal();
    store.failing = { failure: "sync", survives: true };
    const lost = append(journal, "unknown");
    await clock.settle();
    expect(lost.error).toMatchObject({ code: "OUTCOME_UNKNOWN" });
    const { journal: next } = await openJournal({ store: await store.crash(false) });
    expect(readAll(next)).toEqual(["unknown"]);
    expect(next.head).toEqual({ epoch: lost.epoch, seq: 1 });
  });

  it("stays in one new epoch through many failures in a row", async () => {
    const { journal, store, clock } = await openJournal();
    const { epoch } = journal;
    append(journal, "a");
    store.failing = { failure: "sync", survives: false };
    await clock.settle();
    for (let i = 0; i < 5; i++) {
      journal.committer.retryAfterFailure();
      await clock.settle();
    }
    expect(journal.epoch).toBe(epoch + 1);
    store.failing = undefined;
    journal.committer.retryAfterFailure();
    await clock.settle();
    expect([journal.accepting, journal.epoch]).toEqual([true, epoch + 1]);
  });

  it("refuses while rows of others fail, and burns nothing of its own", async () => {
    const { journal, store, clock } = await openJournal();
    append(journal, "a");
    await clock.settle();
    const { epoch } = journal;
    store.failing = { failure: "full", survives: false };
    journal.committer.write("cursor", Buffer.from("c"), Buffer.from("1"));
    await clock.settle();
    expect(journal.accepting).toBe(false);
    store.failing = undefined;
    journal.committer.retryAfterFailure();
    await clock.settle();
    const b = append(journal, "b");
    expect([b.epoch, b.seq]).toEqual([epoch, 2]);
  });
});

describe("Journal and epochs known elsewhere", () => {
  it("jumps above, and accepts again once the epoch is on disk", async () => {
    const { journal, store, clock } = await openJournal();
    const a = append(journal, "a");
    expect(journal.raiseEpoch(a.epoch + 100)).toBe(true);
    expect([journal.accepting, journal.hasRoom(1)]).toEqual([false, false]);
    expect(() => journal.append(record("refused"))).toThrow(/being stored/);
    let b: ReturnType<typeof append> | undefined;
    journal.whenRoom(1, () => {
      b = append(journal, "b");
    });
    expect(b).toBeUndefined();
    await clock.settle();
    expect([a.error, b?.error, journal.accepting]).toEqual([undefined, undefined, true]);
    expect(b).toMatchObject({ epoch: a.epoch + 101, seq: 1 });
    expect(readAll(journal)).toEqual(["a", "b"]);
    const { journal: next } = await openJournal({ store: await store.crash(false) });
    expect(next.epoch).toBe(a.epoch + 102);
  });

  it("jumps above its own epoch at least, and remembers for ever what it jumped above", async () => {
    const { journal, store, clock } = await openJournal();
    const { epoch } = journal;
    expect(journal.jumped).toBe(0);
    // A failed sync may have raised it above what a peer tells.
    expect(journal.raiseEpoch(epoch - 1)).toBe(true);
    expect([journal.epoch, journal.jumped]).toEqual([epoch + 1, epoch - 1]);
    expect(journal.raiseEpoch(epoch + 1)).toBe(true);
    expect([journal.epoch, journal.jumped]).toEqual([epoch + 2, epoch + 1]);
    await clock.settle();
    const { journal: next } = await openJournal({ store: await store.crash(false) });
    expect(next.jumped).toBe(epoch + 1);
    expect(next.epoch).toBeGreaterThan(epoch + 2);
  });

  it("does not follow a peer to the end of the epochs", async () => {
    const { journal } = await openJournal();
    const { epoch } = journal;
    for (const absurd of [0xffff_ffff, epoch + 2 ** 28 + 1, Number.NaN, 1e300]) {
      expect(journal.raiseEpoch(absurd)).toBe(false);
    }
    expect([journal.epoch, journal.accepting]).toEqual([epoch, true]);
  });
});

describe("Journal and damage", () => {
  const damageAt = async (
    store: ScriptedStore,
    index: number,
    byte: number,
  ): Promise<Uint8Array> => {
    const entry = store.scan("log", { limit: 1000 })[index];
    if (entry === undefined) throw new Error("no such block");
    const value = Uint8Array.from(entry.value);
    value[byte] = (value[byte] as number) ^ 4;
    await store.tamper("log", entry.key, value);
    return entry.key;
  };

  const written = async (blocks: number): Promise<ScriptedStore> => {
    const { journal, store, clock } = await openJournal();
    for (let i = 0; i < blocks; i++) {
      append(journal, `a${i}`);
      append(journal, `b${i}`);
      await clock.settle();
    }
    return store;
  };

  it.each([
    ["the body, first block", 0, 66],
    ["the body, middle block", 2, 66],
    ["the header, middle block", 2, 50],
    ["the header, last block", 4, 50],
  ] as const)("quarantines a block damaged in %s", async (_, index, byte) => {
    const store = await written(5);
    const damagedKey = await damageAt(store, index, byte);
    const { journal, clock, damage } = await openJournal({ store });
    const expected = [0, 1, 2, 3, 4].filter((i) => i !== index).flatMap((i) => [`a${i}`, `b${i}`]);
    expect(readAll(journal)).toEqual(expected);
    expect(readAll(journal)).toEqual(expected);
    const { epoch, seq } = positionOfKey(damagedKey);
    const bytes = store.get("log", damagedKey)?.length;
    expect(damage).toEqual([{ epoch, firstSeq: seq, lastSeq: seq + 1, bytes }]);
    expect(journal.recordAt({ epoch, seq })).toBeUndefined();
    await clock.settle();
    expect(store.get("log", damagedKey)).toBeUndefined();
    expect(store.get("quarantine", damagedKey)).toHaveLength(bytes as number);
    expect(journal.logBytes).toBe(logBytesOf(store));
    const again = await openJournal({ store: await store.crash(false) });
    expect(readAll(again.journal)).toEqual(expected);
    expect(again.damage).toEqual([]);
  });

  it("counts a block once that is trimmed by the commit that moves it away", async () => {
    const store = await written(4);
    await damageAt(store, 1, 66);
    const { journal, clock } = await openJournal({ store });
    readAll(journal);
    journal.trim({ epoch: 1_700_000_000, seq: 6 });
    await clock.settle();
    expect(readAll(journal)).toEqual(["a3", "b3"]);
    expect(journal.tail).toEqual({ epoch: 1_700_000_000, seq: 7 });
    expect(journal.logBytes).toBe(logBytesOf(store));
  });

  it("keeps the move of a damaged block through a failed commit", async () => {
    const store = await written(3);
    const damagedKey = await damageAt(store, 1, 66);
    const { journal, clock, damage } = await openJournal({ store });
    store.failing = { failure: "full", survives: false };
    readAll(journal);
    await clock.settle();
    expect(store.get("quarantine", damagedKey)).toBeUndefined();
    store.failing = undefined;
    journal.committer.retryAfterFailure();
    await clock.settle();
    expect(store.get("quarantine", damagedKey)).toBeDefined();
    expect(damage).toHaveLength(1);
    expect(journal.logBytes).toBe(logBytesOf(store));
  });

  it("does not serve a whole block at a place that is not its own", async () => {
    const store = await written(3);
    const [first, second] = store.scan("log", { limit: 2 });
    await store.tamper("log", second?.key as Uint8Array, first?.value);
    const { journal, damage } = await openJournal({ store });
    expect(readAll(journal)).toEqual(["a0", "b0", "a2", "b2"]);
    expect(damage).toMatchObject([{ firstSeq: 3, lastSeq: 4 }]);
  });

  it("pauses reading while many damaged blocks wait for their commit, then goes on", async () => {
    const store = await written(100);
    for (let i = 0; i < 99; i++) await damageAt(store, i, 66);
    const { journal, clock, damage } = await openJournal({ store });
    let readable = 0;
    journal.onReadable(() => readable++);
    expect(readAll(journal)).toEqual([]);
    expect(damage).toHaveLength(32);
    for (let i = 0; i < 10 && readAll(journal).length === 0; i++) await clock.settle();
    expect(readable).toBe(3);
    expect(readAll(journal)).toEqual(["a99", "b99"]);
    expect(damage).toHaveLength(99);
    await clock.settle();
    expect(journal.logBytes).toBe(logBytesOf(store));
    expect(journal.tail).toEqual({ epoch: 1_700_000_000, seq: 199 });
  });
});

describe("Journal trimming", () => {
  it.each(["this life", "an earlier life"])("removes whole blocks written in %s", async (life) => {
    let { journal, store, clock } = await openJournal({ limits: { trimBlocksMax: 10 } });
    const { epoch } = journal;
    for (let i = 0; i < 50; i++) {
      journal.appendMany([record(`a${i}`), record(`b${i}`)]);
      await clock.settle();
    }
    if (life === "an earlier life") {
      const again = await store.crash(false);
      ({ journal, store, clock } = await openJournal({
        store: again,
        limits: { trimBlocksMax: 10 },
      }));
    }
    expect(journal.tail).toEqual({ epoch, seq: 1 });
    journal.trim({ epoch, seq: 75 });
    await clock.settle();
    // Nobody needs the space: it waits for a commit that happens anyway.
    expect(journal.tail).toEqual({ epoch, seq: 1 });
    journal.committer.write("cursor", Buffer.from("c"), undefined);
    await clock.turn();
    expect(journal.tail).toEqual({ epoch, seq: 21 });
    await clock.settle();
    expect(journal.tail).toEqual({ epoch, seq: 75 });
    expect(readAll(journal)).toHaveLength(26);
    expect(journal.logBytes).toBe(logBytesOf(store));
    expect(journal.recordAt({ epoch, seq: 75 })).toBeDefined();

    journal.trim({ epoch: epoch + 9, seq: 1 });
    append(journal, "last");
    await clock.settle();
    expect(readAll(journal)).toEqual(["last"]);
    expect(journal.logBytes).toBe(logBytesOf(store));
    const { journal: next } = await openJournal({ store: await store.crash(false) });
    expect(readAll(next)).toEqual(["last"]);
    expect(next.tail).toEqual({ epoch: journal.epoch, seq: journal.head?.seq });
  });

  it("keeps the head when everything is gone", async () => {
    const { journal, store, clock } = await openJournal();
    append(journal, "a");
    await clock.settle();
    const head = journal.head;
    journal.trim({ epoch: journal.epoch, seq: 1 });
    journal.committer.write("cursor", Buffer.from("c"), undefined);
    await clock.settle();
    expect([journal.tail, journal.read(undefined), journal.logBytes]).toEqual([
      undefined,
      undefined,
      0,
    ]);
    const { journal: next } = await openJournal({ store: await store.crash(false) });
    expect([next.head, next.tail]).toEqual([head, undefined]);
  });

  it("removes blocks whose header is damaged by where the next one starts", async () => {
    const { journal, store, clock } = await openJournal();
    const { epoch } = journal;
    for (let i = 0; i < 40; i++) {
      journal.appendMany([record("a"), record("b")]);
      await clock.settle();
    }
    for (const seq of [1, 31, 33]) {
      const key = positionKey(epoch, seq);
      const value = store.get("log", key) as Uint8Array;
      value[49] = 77;
      await store.tamper("log", key, value);
    }
    const again = await openJournal({ store: await store.crash(false) });
    again.journal.trim({ epoch, seq: 34 });
    again.journal.committer.write("cursor", Buffer.from("c"), undefined);
    await again.clock.settle();
    expect(again.journal.tail).toEqual({ epoch, seq: 35 });
    expect(again.journal.logBytes).toBe(logBytesOf(again.store));
  });

  it("counts what a failed commit removed all the same", async () => {
    const first = await openJournal();
    append(first.journal, "a");
    await first.clock.settle();
    const { journal, store, clock } = await openJournal({ store: await first.store.crash(false) });
    journal.trim(journal.head as { epoch: number; seq: number });
    store.failing = { failure: "sync", survives: true };
    journal.committer.write("cursor", Buffer.from("c"), undefined);
    await clock.settle();
    store.failing = undefined;
    journal.committer.retryAfterFailure();
    await clock.settle();
    expect([journal.logBytes, journal.tail, logBytesOf(store)]).toEqual([0, undefined, 0]);
  });

  it("trims again what a failed commit did not remove", async () => {
    const { journal, store, clock } = await openJournal();
    append(journal, "a");
    await clock.settle();
    append(journal, "b");
    await clock.settle();
    journal.trim({ epoch: journal.epoch, seq: 1 });
    store.failing = { failure: "full", survives: false };
    journal.committer.write("cursor", Buffer.from("c"), undefined);
    await clock.settle();
    expect(readAll(journal)).toEqual(["a", "b"]);
    store.failing = undefined;
    journal.committer.retryAfterFailure();
    await clock.settle();
    expect(readAll(journal)).toEqual(["b"]);
    expect(journal.logBytes).toBe(logBytesOf(store));
  });
});

describe("Journal and room", () => {
  const limits = { bytesMax: 10_000, blockBytes: 1000 };
  const large = { bytes: Buffer.alloc(800) };

  const filled = async () => {
    const fixture = await openJournal({ limits });
    while (fixture.journal.hasRoom(800)) {
      fixture.journal.append(record("", large));
      await fixture.clock.settle();
    }
    return fixture;
  };

  it("refuses user messages at nine tenths and keeps the rest for handlers' output", async () => {
    const { journal, clock } = await filled();
    expect(journal.logBytes).toBeGreaterThan(7000);
    expect(journal.logBytes).toBeLessThanOrEqual(9000);
    expect(() => journal.append(record("", large))).toThrow(/do not fit/);
    append(journal, "", { ...large, reserve: true });
    await clock.settle();
    const more = () => journal.append(record("", { ...large, reserve: true }));
    for (let i = 0; i < 3; i++) {
      try {
        more();
        await clock.settle();
      } catch {
        break;
      }
    }
    expect(more).toThrow(/do not fit/);
    expect(journal.logBytes).toBeLessThanOrEqual(10_000);
  });

  it("lets waiters in first come, first served, as trimming frees space", async () => {
    const { journal, clock } = await filled();
    const { epoch } = journal;
    const order: string[] = [];
    const wait = (name: string, bytes: number) =>
      journal.whenRoom(bytes, (error) => {
        order.push(error === undefined ? name : `${name} ${error.code}`);
        if (error === undefined) journal.append(record("", { bytes: Buffer.alloc(bytes) }));
      });
    wait("large", 1500);
    wait("small", 10);
    const cancelled = wait("cancelled", 10);
    wait("last", 10);
    expect([order, journal.hasRoom(1)]).toEqual([[], false]);
    journal.cancelRoom(cancelled);
    journal.trim({ epoch, seq: 1 });
    await clock.settle();
    expect(order).toEqual([]);
    journal.trim({ epoch, seq: 2 });
    await clock.settle();
    expect(order).toEqual(["large", "small", "last"]);
    expect(journal.logBytes).toBeLessThanOrEqual(9000);
  });

  it("lets in those behind a waiter that gives up", async () => {
    const { journal } = await filled();
    const order: string[] = [];
    const first = journal.whenRoom(3000, () => order.push("first"));
    journal.whenRoom(1, () => order.push("second"));
    journal.cancelRoom(first);
    journal.cancelRoom(first);
    expect(order).toEqual(["second"]);
  });

  it("frees at once what a lazy trim left when somebody comes to wait", async () => {
    const fixture = await openJournal({ limits });
    const { journal, clock } = fixture;
    journal.append(record("", large));
    await clock.settle();
    journal.trim({ epoch: journal.epoch, seq: 1 });
    await clock.settle();
    const order: string[] = [];
    journal.whenRoom(8500, () => order.push("in"));
    await clock.settle();
    expect(order).toEqual(["in"]);
  });

  it("bounds what is not durable yet, but lets one message through whatever its size", async () => {
    const { journal, clock } = await openJournal({ limits: { pendingBytesMax: 2000 } });
    expect(journal.hasRoom(1_000_000)).toBe(true);
    journal.append(record("", { bytes: Buffer.alloc(5000) }));
    expect(journal.hasRoom(1)).toBe(false);
    expect(() => journal.append(record(""))).toThrow(MeshError);
    await clock.settle();
    expect(journal.hasRoom(1900)).toBe(true);
  });

  it("bounds those who wait, and refuses what never fits", async () => {
    const { journal } = await openJournal({ limits: { ...limits, waitersMax: 3 } });
    while (journal.hasRoom(800)) journal.append(record("", large));
    const codes: unknown[] = [];
    for (let i = 0; i < 5; i++) journal.whenRoom(2000, (error) => codes.push(error?.code));
    expect(codes).toEqual(["JOURNAL_FULL", "JOURNAL_FULL"]);
    journal.whenRoom(20_000, (error) => codes.push(error?.code));
    expect(codes).toHaveLength(3);
  });

  it("commits what gathered when closed, and stops those who wait", async () => {
    const { journal, store, clock } = await filled();
    const codes: unknown[] = [];
    journal.whenRoom(2000, (error) => codes.push(error?.code));
    const last = append(journal, "", { reserve: true });
    const closed = journal.close();
    expect(() => journal.append(record(""))).toThrow(MeshError);
    await clock.settle();
    await closed;
    expect([codes, last.error, store.closed]).toEqual([["STOPPED"], undefined, true]);
    await journal.close();
  });
});
