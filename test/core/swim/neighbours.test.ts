import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { packWord } from "../../../src/core/swim/claim.ts";
import { MemberNames } from "../../../src/core/swim/member-names.ts";
import { MemberTable } from "../../../src/core/swim/member-table.ts";
import { COMPLETE_MAX, Neighbours, RINGS } from "../../../src/core/swim/neighbours.ts";

const ALIVE = packWord(0, 0, "alive");
const DEAD = packWord(0, 0, "dead");

type View = { readonly names: MemberNames; readonly table: MemberTable; readonly near: Neighbours };

const viewOf = (me: number, members: number): View => {
  const names = new MemberNames();
  const table = new MemberTable(names, 20_000);
  const own = table.add(`node-${me}`, 1, ALIVE);
  const near = new Neighbours(names, table, own);
  for (let member = 0; member < members; member++) {
    if (member !== me) near.added(table.add(`node-${member}`, 1, ALIVE));
  }
  return { names, table, near };
};

const namesOf = ({ names, near }: View): string[] =>
  near.list.map((member) => names.id(member)).sort();

/** The same, found anew from the table alone. */
const foundAnew = ({ names, table }: View, me: string): string[] => {
  const fresh = new Neighbours(names, table, names.find(me));
  fresh.rebuild();
  return fresh.list.map((member) => names.id(member)).sort();
};

describe("neighbours", () => {
  it(`are all others, up to ${COMPLETE_MAX} members`, () => {
    expect(viewOf(3, COMPLETE_MAX).near.list).toHaveLength(COMPLETE_MAX - 1);
    expect(viewOf(3, COMPLETE_MAX + 1).near.list.length).toBeLessThanOrEqual(2 * RINGS);
  });

  it("are mutual, few, and hold the mesh together", () => {
    const count = 400;
    const lists = Array.from({ length: count }, (_, me) => namesOf(viewOf(me, count)));
    for (const [me, list] of lists.entries()) {
      expect(list.length).toBeGreaterThanOrEqual(RINGS);
      expect(list.length).toBeLessThanOrEqual(2 * RINGS);
      for (const other of list) expect(lists[Number(other.slice(5))]).toContain(`node-${me}`);
    }
    let reached = new Set(["node-0"]);
    let rounds = 0;
    for (; reached.size < count && rounds < 10; rounds++) {
      reached = new Set([...reached].flatMap((id) => [id, ...(lists[Number(id.slice(5))] ?? [])]));
    }
    expect(reached.size).toBe(count);
    expect(rounds).toBeLessThanOrEqual(4);
  });

  it("are the same whether members came, left and came back, or were there from the start", () => {
    const spell = fc.array(fc.tuple(fc.nat(219), fc.boolean()), { maxLength: 60 });
    fc.assert(
      fc.property(fc.constantFrom(140, 150, 160, 200), spell, (members, turns) => {
        const made = viewOf(0, members);
        const { names, table, near } = made;
        for (const [which, lives] of turns) {
          const id = `node-${which + 1}`;
          let member = names.find(id);
          if (member < 0) {
            if (!lives) continue;
            member = table.add(id, 1, ALIVE);
            near.added(member);
          } else if (table.isLive(member) !== lives) {
            table.put(member, 1, lives ? ALIVE : DEAD);
            if (lives) near.added(member);
            else near.removed(member);
          }
        }
        expect(namesOf(made)).toEqual(foundAnew(made, "node-0"));
      }),
      { numRuns: 40 },
    );
  });
});
