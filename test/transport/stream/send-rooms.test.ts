import { describe, expect, it } from "vitest";
import { SendRooms } from "../../../src/transport/stream/send-rooms.ts";

describe("rooms for what is sent", () => {
  it("have room for what was asked, and serve again only when they were given back", () => {
    const rooms = new SendRooms();
    for (const bytes of [1, 16_384, 65_536 + 300, 262_144 + 2_000, 3_000_000]) {
      const first = rooms.take(bytes);
      expect(first.length).toBeGreaterThanOrEqual(bytes);
      expect(first.length).toBeLessThan(2 * bytes + 24_000);
      const second = rooms.take(bytes);
      expect(second.buffer).not.toBe(first.buffer);
      rooms.give(first);
      const third = rooms.take(bytes);
      expect(third.buffer === first.buffer).toBe(first.length <= 2 * 1024 * 1024);
    }
  });

  it("keep at most 2 MiB waiting", () => {
    const rooms = new SendRooms();
    const taken = Array.from({ length: 100 }, () => rooms.take(65_536));
    for (const room of taken) rooms.give(room);
    const known = new Set(taken.map(({ buffer }) => buffer));
    const again = Array.from({ length: 100 }, () => rooms.take(65_536));
    const served = again.filter(({ buffer }) => known.has(buffer)).length;
    expect(served).toBe(Math.floor((2 * 1024 * 1024) / (taken[0]?.length ?? 1)));
  });
});
