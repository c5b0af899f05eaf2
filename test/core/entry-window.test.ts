import fc from "fast-check";
import { expect, it } from "vitest";
import { type Entry, EntryTally, newEntry, READY, SETTLED } from "../../src/core/entry.ts";
import { EntryWindow } from "../../src/core/entry-window.ts";
import type { Position } from "../../src/core/position.ts";

/** A journal is read on: positions that concern the subscription, and others; then entries end, in any order. */
const steps = fc.array(
  fc.oneof(
    fc.record({ type: fc.constant("read" as const), skip: fc.nat(3), ours: fc.boolean() }),
    fc.record({ type: fc.constant("epoch" as const) }),
    fc.record({ type: fc.constant("settle" as const), at: fc.nat(30) }),
  ),
  { maxLength: 120 },
);

type Ours = { readonly entry: Entry; settled: boolean };

it("agrees with a plain list of what was read and what has ended", () => {
  fc.assert(
    fc.property(steps, (script) => {
      const tally = new EntryTally();
      const start: Position = { epoch: 1, seq: 0 };
      const window = new EntryWindow(start, tally);
      const list: Ours[] = [];
      let scanned = start;
      for (const step of script) {
        if (step.type === "epoch") scanned = { epoch: scanned.epoch + 1, seq: 0 };
        else if (step.type === "read") {
          const position = { epoch: scanned.epoch, seq: scanned.seq + step.skip + 1 };
          if (step.ours) {
            const entry = newEntry(position.epoch, position.seq, step.skip, -1, 1, -1);
            list.push({ entry, settled: false });
            window.push(entry);
          }
          scanned = position;
          window.read(position);
        } else {
          const one = list[step.at];
          if (one === undefined || one.settled) continue;
          one.settled = true;
          tally.move(one.entry, SETTLED);
          window.advance();
        }
        agree(window, tally, list, scanned);
      }
    }),
  );
});

const agree = (
  window: EntryWindow,
  tally: EntryTally,
  list: readonly Ours[],
  scanned: Position,
): void => {
  const open = list.filter(({ settled }) => !settled).map(({ entry }) => entry);
  expect(window.unsettled()).toEqual(open);
  expect(tally.count(READY)).toBe(open.length);
  for (const { entry, settled } of list) {
    expect(window.find(entry.epoch, entry.seq)).toBe(settled ? undefined : entry);
    expect(window.find(entry.epoch, entry.seq + 1)).not.toBe(entry);
  }
  const first = list.findIndex(({ settled }) => !settled);
  const held = first < 0 ? 0 : list.length - first;
  expect([window.length, tally.count(READY) + tally.count(SETTLED)]).toEqual([held, held]);
  // Nothing unsettled stands at or below the floor; with nothing unsettled all that was read is below it.
  if (first < 0) {
    if (scanned.seq > 0) expect(window.floor).toEqual(scanned);
    return;
  }
  const before = list[first - 1]?.entry;
  const { entry } = list[first] as Ours;
  const { epoch, seq } = window.floor;
  expect(epoch < entry.epoch || (epoch === entry.epoch && seq < entry.seq)).toBe(true);
  if (before !== undefined) {
    expect(epoch > before.epoch || (epoch === before.epoch && seq >= before.seq)).toBe(true);
  }
};
