import { constants, PerformanceObserver } from "node:perf_hooks";
import { getHeapStatistics } from "node:v8";
import { describe, expect, it } from "vitest";
import { YoungGarbage } from "../../src/mesh/young-garbage.ts";
import { until } from "../integration/until.ts";

const MIB = 1024 * 1024;

type Collection = { readonly kind: number; readonly flags: number };

describe("large garbage", () => {
  it("is freed by the collection of V8 that is asked for", async () => {
    const { NODE_PERFORMANCE_GC_MINOR: minor, NODE_PERFORMANCE_GC_FLAGS_FORCED: forced } =
      constants;
    const asked: number[] = [];
    const observer = new PerformanceObserver((list) => {
      for (const { detail } of list.getEntries() as unknown as { detail: Collection }[]) {
        if ((detail.flags & forced) !== 0) asked.push(detail.kind);
      }
    });
    observer.observe({ entryTypes: ["gc"] });
    // How large this process's heap is, and what else lies outside of it, is the test runner's: it does not count here.
    const outside = (): number => getHeapStatistics().external_memory;
    const garbage = new YoungGarbage(() => ({ outsideBytes: outside(), heapBytes: 0 }));
    const before = outside();
    for (let made = 0; made < 16 * MIB; made += 65_536) {
      Buffer.allocUnsafe(65_536).writeUInt8(1);
      garbage.made(65_536);
    }
    await until("V8 has told of it", () => asked.length > 0);
    // At least the first 4 MiB: another thread of V8 frees them, and the next buffer that is made finds that it has.
    await until("they are freed", () => new ArrayBuffer(8) && outside() - before <= 12 * MIB);
    observer.disconnect();
    expect(asked.every((kind) => kind === minor)).toBe(true);
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
