/**
 * A log of which something changed while nobody had it open: one bit anywhere, or a file that is gone. Whoever opens
 * it hears of it, or finds everything there. What may differ is the content of values from 1 KiB on, which are not
 * read then; the journal knows its blocks by their own checksum.
 */

import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { MeshError } from "../../../src/errors.ts";
import { MARK_MS } from "../../../src/journal/wal/log-mark.ts";
import { openLog } from "../../../src/journal/wal/open-log.ts";
import { TAIL_VALUE_BYTES } from "../../../src/journal/wal/wal-record.ts";
import type { JournalStore } from "../../../src/ports/journal-store.ts";
import {
  applied,
  Below,
  LIMITS,
  type Model,
  plannedWrite,
  settled,
  shown,
  sorted,
  writesOf,
} from "./log-model.ts";
import { type SimulatedFile, SimulatedSegments } from "./simulated-segments.ts";

const plans = fc.record({
  commits: fc.array(fc.array(plannedWrite, { minLength: 1, maxLength: 5 }), {
    minLength: 1,
    maxLength: 30,
  }),
  /** How it ended: closed, killed, or killed right after its last commit. */
  end: fc.constantFrom("closed", "quiet", "sudden"),
  damage: fc.constantFrom("bit", "bit", "bit", "file"),
  /** Which file, from the newest; where in it, of what was written; which bit. */
  file: fc.nat({ max: 3 }),
  at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  bit: fc.nat({ max: 7 }),
});

/** Large values by their length alone. */
const outline = (model: Model): string =>
  JSON.stringify(
    sorted(model).map(([key, value]) => {
      const length = value.split("/")[0];
      return [key, Number(length) >= TAIL_VALUE_BYTES ? length : value];
    }),
  );

/** The file that was begun last comes first, and of each the number of its first commit. */
const numberOfFirst = ({ bytes }: SimulatedFile): number =>
  Number(Buffer.from(bytes.buffer).readBigUInt64LE(512 + 16));

/** Undefined: it was refused. */
const openedAgain = (below: Below, disk: SimulatedSegments): Promise<JournalStore | undefined> =>
  openLog(below.opened(), disk, LIMITS).catch((error: unknown) => {
    if (!MeshError.is(error, "JOURNAL_DAMAGED")) throw error;
    return undefined;
  });

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});
afterEach(() => {
  vi.useRealTimers();
});

test("damage to a log is told, whatever it is, but for a last commit the mark does not know yet", async () => {
  const seen = { refused: 0, sound: 0, sudden: 0 };
  const property = fc.asyncProperty(plans, async ({ commits, end, damage, file, at, bit }) => {
    const disk = new SimulatedSegments();
    const below = await Below.empty();
    const store = await openLog(below.opened(), disk, LIMITS);
    let model: Model = new Map();
    let before: Model = model;
    for (const [index, planned] of commits.entries()) {
      if (index === commits.length - 1) {
        vi.advanceTimersByTime(MARK_MS);
        await settled(new Promise(() => {}));
      }
      const writes = writesOf(planned);
      await store.commit(writes);
      before = model;
      model = applied(model, writes);
    }
    if (end === "closed") await store.close();
    if (end === "quiet") {
      vi.advanceTimersByTime(MARK_MS);
      await settled(new Promise(() => {}));
    }
    disk.cut = true;
    below.cut = true;
    await settled(new Promise(() => {}));
    vi.clearAllTimers();
    disk.cut = false;
    below.cut = false;

    const files = disk.files.sort((one, other) => numberOfFirst(other) - numberOfFirst(one));
    const subject = files[file % files.length] as SimulatedFile;
    if (damage === "file") disk.remove(subject);
    else {
      const end = subject.bytes.findLastIndex((byte) => byte !== 0) + 1;
      const place = Math.floor(at * end);
      subject.bytes[place] = (subject.bytes[place] as number) ^ (1 << bit);
    }
    const again = await openedAgain(below, disk);
    if (again === undefined) {
      seen.refused += 1;
      return;
    }
    const found = outline(shown(again));
    if (end === "sudden" && found === outline(before) && found !== outline(model)) {
      seen.sudden += 1;
    } else {
      expect(found).toBe(outline(model));
      seen.sound += 1;
    }
    await again.close();
  });
  await fc.assert(property, { numRuns: 3_000, seed: 20_262 });
  expect(Math.min(seen.refused, seen.sound)).toBeGreaterThan(400);
  expect(seen.sudden).toBeGreaterThan(20);
}, 120_000);
