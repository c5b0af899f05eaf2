import { beforeEach, describe, expect, it } from "vitest";
import { TokenTable } from "../../../src/core/token-table.ts";
import { Committer } from "../../../src/runtime/journal/committer.ts";
import { TokenRow } from "../../../src/runtime/ownership/token-row.ts";
import { silent, TurnClock } from "../journal/journal-fixture.ts";
import { ScriptedStore } from "../journal/scripted-store.ts";

let store: ScriptedStore;
let clock: TurnClock;
let committer: Committer;
let table: TokenTable;
let row: TokenRow;
let safe: number;

beforeEach(async () => {
  store = await ScriptedStore.open();
  clock = new TurnClock();
  committer = new Committer({ store, clock, logger: silent });
  table = new TokenTable();
  safe = 0;
  row = new TokenRow("s", table, committer, () => safe++);
});

const A = { term: 7, holder: "a", next: "" } as const;
const B = { term: 8, holder: "b", next: "" } as const;

describe("TokenRow", () => {
  it("has a register that may be used on the disk, at once, before it is safe", async () => {
    table.set([3], { ...A, phase: "held" }, 0);
    row.changed([3], false);
    expect(row.isSafe(3)).toBe(false);
    await clock.settle();
    expect([store.commits, safe, row.isSafe(3)]).toEqual([1, 1, true]);
  });

  it("brings no commit about for a word of others that lets nobody send, and writes it with the next", async () => {
    store.auto = false;
    for (const phase of ["moving", "released"] as const) {
      table.set([3], { ...A, phase, next: phase === "released" ? "b" : "" }, 0);
      row.changed([3], false);
      await clock.settle();
      expect([store.commits, row.isSafe(3)]).toEqual([0, false]);
    }
    table.set([3], { ...B, phase: "held" }, 0);
    row.changed([3], false);
    await clock.settle();
    expect(store.commits).toBe(1); // which waited for no other
    store.auto = true;
    await store.end();
    table.set([4], { ...A, phase: "moving" }, 0);
    row.changed([4], false);
    committer.write("meta", new Uint8Array(1), new Uint8Array(1));
    await clock.settle();
    expect(row.isSafe(4)).toBe(true);
  });

  it("writes this node's own word whatever it says: its next life must not take what it gave away", async () => {
    table.set([3], { ...A, phase: "released", next: "b" }, 0);
    row.changed([3], true);
    await clock.settle();
    expect(store.commits).toBe(1);
    const restored = new TokenTable();
    new TokenRow("s", restored, committer, () => {}).restore(store, 0);
    expect(restored.at(3)).toEqual({ ...A, phase: "released", next: "b" });
  });
});
