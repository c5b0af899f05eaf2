import { expect, it } from "vitest";
import { type DeadLetterHead, DeadLetters } from "../../../src/runtime/producer/dead-letters.ts";
import { openJournal } from "../journal/journal-fixture.ts";

const BODY = new Uint8Array(1_000);

const letter = (seq: number): DeadLetterHead => ({
  ...{ id: `m${seq}/s`, messageId: `m${seq}`, subscription: "s", group: "g", subject: "x.y" },
  ...{ kind: "event", epoch: 1, seq, keyHash: -1, reason: "cannot", attempts: 1 },
  ...{ errors: [], deadAtMs: 0, holds: false },
});

it("takes its room once for a message that failed for good twice", async () => {
  const { journal, clock } = await openJournal();
  const letters = new DeadLetters(journal, journal.committer, 3 * BODY.length);
  for (let time = 0; time < 5; time++) letters.add(letter(1), BODY);
  expect(letters.hasRoom(BODY.length)).toBe(true);
  letters.add(letter(2), BODY);
  expect(letters.count).toBe(2);
  expect(letters.hasRoom(BODY.length)).toBe(false);
  await clock.settle();
  expect(letters.list({})).toHaveLength(2);
});
