import { beforeEach, expect, it } from "vitest";
import { LargeCopies } from "../../../src/runtime/link/large-copies.ts";
import { VirtualClock } from "../../mesh/virtual-clock.ts";

let clock: VirtualClock;
let copies: LargeCopies;

beforeEach(() => {
  clock = new VirtualClock();
  copies = new LargeCopies(clock);
});

const payload = (bytes: number, value: number): Uint8Array => new Uint8Array(bytes).fill(value);

it("copies into the room of a copy that is over, and into no other", () => {
  const first = copies.of(payload(1_000, 1));
  const second = copies.of(payload(1_000, 2));
  expect(second.buffer).not.toBe(first.buffer);
  copies.over(first);
  const third = copies.of(payload(900, 3));
  expect(third.buffer).toBe(first.buffer);
  expect(third).toEqual(payload(900, 3));
  expect(second).toEqual(payload(1_000, 2));
  expect(copies.of(payload(900, 4)).buffer).not.toBe(first.buffer);
});

it("keeps the largest room, and none that it did not lend, or lent before", () => {
  const small = copies.of(payload(10, 1));
  const large = copies.of(payload(1_000, 1));
  copies.over(large);
  copies.over(small);
  copies.over(payload(2_000, 1));
  const again = copies.of(payload(500, 2));
  expect(again.buffer).toBe(large.buffer);
  copies.over(again);
  copies.over(again);
  copies.of(payload(500, 3));
  expect(copies.of(payload(500, 4)).buffer).not.toBe(large.buffer);
});

it("lets a room go that nobody used for a second", async () => {
  const first = copies.of(payload(1_000, 1));
  copies.over(first);
  await clock.advance(1_000);
  expect(clock.pending).toBe(0);
  expect(copies.of(payload(1_000, 2)).buffer).not.toBe(first.buffer);
});
