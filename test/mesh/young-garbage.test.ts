import { getHeapStatistics } from "node:v8";
import { describe, expect, it } from "vitest";
import { YoungGarbage } from "../../src/mesh/young-garbage.ts";

const MIB = 1024 * 1024;

describe("large garbage", () => {
  it("is collected long before V8 would by itself", () => {
    const garbage = new YoungGarbage();
    const most = (rounds: number, tell: boolean): number => {
      let bytes = 0;
      const before = getHeapStatistics().external_memory;
      for (let round = 0; round < rounds; round++) {
        Buffer.allocUnsafe(65_536).writeUInt8(1);
        if (tell) garbage.made(65_536);
        bytes = Math.max(bytes, getHeapStatistics().external_memory - before);
      }
      return bytes;
    };
    most(400, true);
    expect(most(4_000, true)).toBeLessThan(16 * MIB);
    expect(globalThis.gc).toBeUndefined();
  });

  it("is left alone below its step, and rarely looked for where payloads are kept", () => {
    let outsideBytes = 0;
    let collections = 0;
    let freed = true;
    let low = 0;
    const garbage = new YoungGarbage(
      () => ({ outsideBytes, heapBytes: 8 * MIB }),
      () => {
        collections++;
        if (freed) outsideBytes = low;
      },
    );
    const make = (mib: number): number => {
      const before = collections;
      for (let at = 0; at < 2 * mib; at++) {
        outsideBytes += MIB / 2;
        garbage.made(MIB / 2);
      }
      return collections - before;
    };
    expect(make(3.5)).toBe(0);
    expect(make(100)).toBeGreaterThan(18);
    low = 200 * MIB;
    freed = false;
    const some = make(256);
    expect(some).toBeGreaterThan(0);
    expect(some).toBeLessThan(10); // each after twice as much as the last
    freed = true;
    low = 0;
    make(256);
    expect(make(100)).toBeGreaterThan(18); // it is worth it again
  });

  it("is collected more rarely in a large heap", () => {
    let outsideBytes = 0;
    let collections = 0;
    const garbage = new YoungGarbage(
      () => ({ outsideBytes, heapBytes: 256 * MIB }),
      () => {
        collections++;
        outsideBytes = 0;
      },
    );
    for (let at = 0; at < 512; at++) {
      outsideBytes += MIB / 2;
      garbage.made(MIB / 2);
    }
    expect(collections).toBe(7); // an eighth of the heap each time
  });
});
