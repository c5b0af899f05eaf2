import { describe, expect, it } from "vitest";
import type { MeshError } from "../../../src/errors.ts";
import type { CommitOwner } from "../../../src/runtime/journal/commit-owner.ts";
import { Committer } from "../../../src/runtime/journal/committer.ts";
import { silent, TurnClock } from "./journal-fixture.ts";
import { ScriptedStore } from "./scripted-store.ts";

const key = (text: string): Uint8Array => new TextEncoder().encode(text);

type Setup = {
  readonly store: ScriptedStore;
  readonly clock: TurnClock;
  readonly committer: Committer;
  readonly health: string[];
  /** Names of callbacks and what they heard. */
  readonly heard: string[];
  readonly hear: (name: string) => (error: MeshError | undefined) => void;
};

const setup = async (): Promise<Setup> => {
  const store = await ScriptedStore.open();
  const clock = new TurnClock();
  const health: string[] = [];
  const heard: string[] = [];
  const committer = new Committer({
    store,
    clock,
    logger: silent,
    onHealth: (failing, error) => health.push(`${failing} ${error?.code}`),
  });
  const hear = (name: string) => (error: MeshError | undefined) => {
    heard.push(`${name} ${error?.code ?? "durable"}`);
  };
  return { store, clock, committer, health, heard, hear };
};

const counting = (committer: Committer, name: string): CommitOwner & { flushes: number } => ({
  flushes: 0,
  flush() {
    this.flushes++;
    committer.write("cursor", key(name), key(String(this.flushes)));
  },
});

describe("Committer", () => {
  it("commits everything of a turn at once, at its end", async () => {
    const { store, clock, committer, heard, hear } = await setup();
    committer.write("meta", key("a"), key("1"));
    committer.onDurable(hear("first"));
    committer.write("cursor", key("a"), key("2"));
    committer.onDurable(hear("second"));
    expect(store.commits).toBe(0);
    await clock.settle();
    expect(store.durable.map((writes) => writes.length)).toEqual([2]);
    expect(heard).toEqual(["first durable", "second durable"]);
  });

  it("keeps the last write of a key in a batch, and apart what only looks alike", async () => {
    const { store, clock, committer } = await setup();
    committer.write("meta", key("a"), key("long value"));
    committer.write("state", key("a"), key("other table"));
    committer.write("meta", key("a"), key("2"));
    expect(committer.pendingBytes).toBe(2 + 12);
    await clock.settle();
    expect(store.get("meta", key("a"))).toEqual(key("2"));
    expect(store.get("state", key("a"))).toEqual(key("other table"));
    expect(store.durable[0]).toHaveLength(2);
  });

  it("has one commit in flight; what comes meanwhile is the next", async () => {
    const { store, clock, committer, heard, hear } = await setup();
    store.auto = false;
    committer.write("meta", key("a"), key("1"));
    committer.onDurable(hear("a"));
    await clock.turn();
    for (const name of ["b", "c"]) {
      committer.write("meta", key(name), key("1"));
      committer.onDurable(hear(name));
      await clock.turn();
    }
    expect([store.commits, heard]).toEqual([1, []]);
    await store.end();
    await clock.turn();
    expect(heard).toEqual(["a durable"]);
    await clock.turn();
    await store.end();
    await clock.turn();
    expect(heard).toEqual(["a durable", "b durable", "c durable"]);
    expect(store.durable[1]).toHaveLength(2);
  });

  it("flushes each dirty owner once a batch, right before it leaves", async () => {
    const { store, clock, committer } = await setup();
    const inner = counting(committer, "inner");
    const outer: CommitOwner = { flush: () => committer.dirty(inner) };
    const self: CommitOwner & { flushes: number } = {
      flushes: 0,
      flush() {
        this.flushes++;
        if (this.flushes === 1) committer.dirty(self);
      },
    };
    committer.dirty(outer);
    committer.dirty(inner);
    committer.dirty(outer);
    committer.dirty(self);
    expect(inner.flushes).toBe(0);
    await clock.turn();
    expect([inner.flushes, self.flushes]).toEqual([1, 1]);
    await clock.settle();
    expect([inner.flushes, self.flushes]).toEqual([1, 2]);
    expect(store.durable).toHaveLength(1);
  });

  it("runs beforeCommit hooks once, before the batch leaves", async () => {
    const { store, clock, committer } = await setup();
    committer.beforeCommit(() => committer.write("meta", key("late"), key("1")));
    await clock.settle();
    expect(store.get("meta", key("late"))).toEqual(key("1"));
    expect(store.commits).toBe(1);
  });

  it("lets an owner wait for a commit that happens anyway", async () => {
    const { store, clock, committer } = await setup();
    const lazy = counting(committer, "lazy");
    committer.dirtyLater(lazy);
    await clock.settle();
    expect(lazy.flushes).toBe(0);
    committer.write("meta", key("a"), key("1"));
    await clock.settle();
    expect([lazy.flushes, store.commits]).toEqual([1, 1]);
  });

  it("tells those who wait for nothing without a commit", async () => {
    const { store, clock, committer, heard, hear } = await setup();
    committer.onDurable(hear("nothing"));
    await clock.settle();
    expect([heard, store.commits]).toEqual([["nothing durable"], 0]);
  });

  it("hears owners before waiters, and goes on when one of them throws", async () => {
    const { clock, committer, heard, hear } = await setup();
    committer.onDurable(() => {
      throw new Error("mine");
    });
    committer.onDurable(hear("waiter"));
    committer.dirty({ flush: () => {}, committed: hear("owner") });
    committer.write("meta", key("a"), key("1"));
    await clock.settle();
    expect(heard).toEqual(["owner durable", "waiter durable"]);
  });

  it.each([
    ["sync", "OUTCOME_UNKNOWN"],
    ["full", "DISK_FULL"],
    ["closed", "STOPPED"],
  ] as const)("on %s fails the batch in flight and the one behind it", async (failure, code) => {
    const { store, clock, committer, health, heard, hear } = await setup();
    store.auto = false;
    const owner = counting(committer, "cursor");
    const behind = counting(committer, "behind");
    committer.dirty(owner);
    committer.write("meta", key("lost"), key("1"));
    committer.onDurable(hear("flying"));
    await clock.turn();
    committer.dirty(behind);
    committer.write("meta", key("lost too"), key("1"));
    let written: unknown;
    committer.onDurable((error) => {
      written = error?.details.written;
      hear("behind")(error);
    });
    store.failing = { failure, survives: false };
    await store.end();
    await clock.turn();
    expect(heard).toEqual([`flying ${code}`, `behind ${code}`]);
    expect(written).toBe(false);
    expect([committer.failing, health]).toEqual([true, [`true ${code}`]]);

    // Nothing is tried by itself.
    await clock.settle();
    expect(store.commits).toBe(1);
    store.failing = undefined;
    store.auto = true;
    committer.retryAfterFailure();
    await clock.settle();
    expect([committer.failing, health[1]]).toEqual([false, "false undefined"]);
    expect([owner.flushes, behind.flushes]).toEqual([2, 1]);
    expect(store.get("cursor", key("cursor"))).toEqual(key("2"));
    expect(store.get("cursor", key("behind"))).toEqual(key("1"));
    expect(store.get("meta", key("lost"))).toBeUndefined();
    expect(store.get("meta", key("lost too"))).toBeUndefined();
  });

  it("keeps owners dirty through any number of failures", async () => {
    const { store, clock, committer, health } = await setup();
    const owner = counting(committer, "cursor");
    committer.dirty(owner);
    store.failing = { failure: "full", survives: false };
    await clock.settle();
    for (let i = 0; i < 5; i++) {
      committer.retryAfterFailure();
      await clock.settle();
    }
    expect([owner.flushes, store.commits, health]).toEqual([6, 6, ["true DISK_FULL"]]);
    store.failing = undefined;
    committer.retryAfterFailure();
    await clock.settle();
    expect(store.get("cursor", key("cursor"))).toEqual(key("7"));
  });

  it("finds out whether the disk works again although nothing is left to write", async () => {
    const { store, clock, committer } = await setup();
    committer.write("meta", key("a"), key("1"));
    store.failing = { failure: "sync", survives: false };
    await clock.settle();
    committer.retryAfterFailure();
    await clock.settle();
    expect([committer.failing, store.commits]).toEqual([true, 2]);
    store.failing = undefined;
    committer.retryAfterFailure();
    await clock.settle();
    expect(committer.failing).toBe(false);
  });

  it("does not commit a batch of which an owner's rows are missing", async () => {
    const { store, clock, committer, heard, hear } = await setup();
    let broken = true;
    const owner: CommitOwner = {
      flush() {
        if (broken) throw new Error("no rows");
        committer.write("cursor", key("c"), key("1"));
      },
    };
    committer.write("meta", key("torn"), key("1"));
    committer.dirty(owner);
    committer.onDurable(hear("waiter"));
    await clock.settle();
    expect([store.commits, heard]).toEqual([0, ["waiter OUTCOME_UNKNOWN"]]);
    broken = false;
    committer.retryAfterFailure();
    await clock.settle();
    expect(store.get("cursor", key("c"))).toEqual(key("1"));
  });

  it("takes a store that throws at once for a failed sync", async () => {
    const { store, clock, committer, heard, hear } = await setup();
    store.commit = () => {
      throw new Error("native");
    };
    committer.write("meta", key("a"), key("1"));
    committer.onDurable(hear("waiter"));
    await clock.settle();
    expect(heard).toEqual(["waiter OUTCOME_UNKNOWN"]);
  });

  it("is idle when nothing gathers or flies, or nothing works", async () => {
    const { store, clock, committer } = await setup();
    const idle: number[] = [];
    committer.whenIdle(() => idle.push(1));
    expect(idle).toEqual([1]);
    committer.write("meta", key("a"), key("1"));
    committer.whenIdle(() => idle.push(2));
    expect(idle).toEqual([1]);
    await clock.settle();
    expect(idle).toEqual([1, 2]);
    store.failing = { failure: "full", survives: false };
    committer.dirty(counting(committer, "c"));
    committer.whenIdle(() => idle.push(3));
    await clock.settle();
    expect(idle).toEqual([1, 2, 3]);
  });

  it("fails with STOPPED what comes after close", async () => {
    const { store, clock, committer, heard, hear } = await setup();
    committer.onDurable(hear("before"));
    committer.close();
    expect(heard).toEqual(["before STOPPED"]);
    committer.write("meta", key("a"), key("1"));
    committer.onDurable(hear("after"));
    await clock.settle();
    expect(heard).toEqual(["before STOPPED", "after STOPPED"]);
    expect(store.commits).toBe(0);
  });
});
