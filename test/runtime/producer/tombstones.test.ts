import { describe, expect, it } from "vitest";
import { Tombstones } from "../../../src/runtime/producer/tombstones.ts";
import { openJournal } from "../journal/journal-fixture.ts";
import { ScriptedStore } from "../journal/scripted-store.ts";

const DAY_MS = 24 * 3_600_000;
const ended = (group: string, ms: number) =>
  ({ role: "events", group, pattern: "x.y", time: { ms, counter: 0 } }) as const;
const groups = (tombstones: Tombstones) => [...tombstones.all()].map(({ group }) => group);

describe("ends by name", () => {
  it("are known in the next life, in the order in which they were said, for 30 days", async () => {
    const store = await ScriptedStore.open();
    const first = await openJournal({ store });
    const before = new Tombstones(first.journal, 0);
    before.add(ended("a", 3));
    before.add(ended("b", 1));
    before.add(ended("c", 2));
    await first.clock.settle();
    const second = await openJournal({ store });
    expect(groups(new Tombstones(second.journal, 2 + 30 * DAY_MS))).toEqual(["c", "a"]);
    await second.clock.settle();
    const third = await openJournal({ store });
    expect(groups(new Tombstones(third.journal, 0))).toEqual(["c", "a"]);
  });

  it("are so many; the one that ended first goes, also after a restart", async () => {
    const store = await ScriptedStore.open();
    const first = await openJournal({ store });
    const before = new Tombstones(first.journal, 0);
    for (let n = 0; n < 4_096; n++) before.add(ended(`g${n}`, 10_000 - n));
    await first.clock.settle();
    const second = await openJournal({ store });
    const after = new Tombstones(second.journal, 0);
    after.add(ended("new", 20_000));
    expect(groups(after)).toHaveLength(4_096);
    expect(groups(after)).not.toContain("g4095");
    expect(groups(after)).toContain("g0");
  });

  it("are the latest of a name, and cover what was born before", async () => {
    const { journal } = await openJournal();
    const tombstones = new Tombstones(journal, 0);
    tombstones.add(ended("a", 5));
    tombstones.add(ended("a", 4));
    const born = (ms: number) => ({ ...ended("a", 0), birthTime: { ms, counter: 0 } });
    expect([4, 5, 6].map((ms) => tombstones.over(born(ms)) !== undefined)).toEqual([
      true,
      true,
      false,
    ]);
    expect(tombstones.over({ ...born(4), group: "b" })).toBeUndefined();
  });
});
