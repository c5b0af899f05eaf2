import { describe, expect, it } from "vitest";
import { xxh32 } from "../../src/mesh/system-ports.ts";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { plainXxh32 } from "../../src/testing/xxh32.ts";

describe("XXH32 in plain arithmetic", () => {
  it("equals the pinned hash for texts of every length up to 300 and for other scripts", async () => {
    const pinned = await xxh32();
    const plain = plainXxh32();
    const random = new SeededRandom(7);
    const letters = "abcXYZ019 .-éßж漢🙂";
    for (let length = 0; length <= 300; length++) {
      let text = "";
      while (text.length < length) text += random.pick([...letters]);
      expect(plain.hash32(text), JSON.stringify(text)).toBe(pinned.hash32(text));
    }
    expect(plain.id).toBe(pinned.id);
  });
});
