import { describe, expect, it } from "vitest";
import { packWord } from "../../../src/core/swim/claim.ts";
import { MemberNames } from "../../../src/core/swim/member-names.ts";
import { MemberTable } from "../../../src/core/swim/member-table.ts";
import { Tombstones } from "../../../src/core/swim/tombstones.ts";

describe("names of members", () => {
  it("keep their number while somebody uses them, and give it to another after that", () => {
    const names = new MemberNames();
    const ann = names.take("ann");
    expect(names.take("ann")).toBe(ann);
    const hash = names.hash(ann);
    names.release(ann);
    expect(names.find("ann")).toBe(ann);
    names.release(ann);
    expect(names.find("ann")).toBe(-1);
    expect(names.take("bob")).toBe(ann);
    expect(names.hash(ann)).not.toBe(hash);
  });

  it("have the hashes of the specification", () => {
    const names = new MemberNames();
    // fmix32 of FNV-1a, worked out apart from this code.
    expect(names.hash(names.take("a"))).toBe(444_641_715);
    expect(names.hash(names.take("0123456789abcdefghjk"))).toBe(401_833_999);
  });
});

describe("the table of members", () => {
  it("counts who lives through every change, and refuses what is past its limit", () => {
    const names = new MemberNames();
    const table = new MemberTable(names, 100);
    const numbers = Array.from({ length: 100 }, (_, at) =>
      table.add(`node-${at}`, 1, packWord(0, 0, at % 2 === 0 ? "alive" : "dead")),
    );
    expect([table.size, table.live]).toEqual([100, 50]);
    expect(table.add("one more", 1, 0)).toBe(-1);
    expect(names.find("one more")).toBe(-1);
    table.put(numbers[0] as number, 1, packWord(1, 0, "left"));
    table.put(numbers[1] as number, 1, packWord(1, 0, "alive"));
    table.remove(numbers[2] as number);
    expect([table.size, table.live]).toEqual([99, 49]);
    expect(table.has(numbers[2] as number)).toBe(false);
  });
});

describe("tombstones", () => {
  it("go in order of age, out of time or past the limit", () => {
    const tombs = new Tombstones(1_000, 2);
    for (const member of [1, 2, 3]) tombs.add(member, member);
    expect(tombs.takeOver(3)).toEqual([1]);
    expect(tombs.nextMs).toBe(1_002);
    tombs.add(2, 500);
    expect(tombs.takeOver(1_003)).toEqual([3]);
    expect(tombs.takeOver(1_500)).toEqual([2]);
    expect(tombs.nextMs).toBe(Infinity);
  });
});
