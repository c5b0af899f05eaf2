import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Ring } from "../../src/core/ring.ts";
import { MeshError } from "../../src/errors.ts";

type Step = { readonly kind: "push" | "shift" | "set" | "clear"; readonly value: number };

const steps = fc.array(
  fc.record({
    kind: fc.oneof(
      { weight: 10, arbitrary: fc.constant("push" as const) },
      { weight: 7, arbitrary: fc.constant("shift" as const) },
      { weight: 3, arbitrary: fc.constant("set" as const) },
      { weight: 1, arbitrary: fc.constant("clear" as const) },
    ),
    value: fc.nat(1000),
  }),
  { maxLength: 300 },
) satisfies fc.Arbitrary<Step[]>;

const contents = (ring: Ring<number>): (number | undefined)[] =>
  Array.from({ length: ring.length }, (_, index) => ring.at(index));

describe("Ring", () => {
  it("does what an array does, through growing and wrapping round", () => {
    fc.assert(
      fc.property(steps, (script) => {
        const ring = new Ring<number>();
        let array: number[] = [];
        for (const { kind, value } of script) {
          if (kind === "push") {
            ring.push(value);
            array.push(value);
          } else if (kind === "shift") {
            expect(ring.shift()).toBe(array.shift());
          } else if (kind === "set" && array.length > 0) {
            ring.set(value % array.length, value);
            array[value % array.length] = value;
          } else if (kind === "clear") {
            ring.clear();
            array = [];
          }
          expect(ring.peek()).toBe(array[0]);
          expect(contents(ring)).toEqual(array);
        }
      }),
    );
  });

  it("answers undefined outside its elements and refuses to set there", () => {
    const ring = new Ring<number>();
    ring.push(1);
    ring.push(2);
    ring.shift();
    for (const index of [-1, 1, 15, 16]) {
      expect(ring.at(index)).toBeUndefined();
      expect(() => ring.set(index, 9)).toThrow(MeshError);
    }
    expect(contents(ring)).toEqual([2]);
  });

  it("does not keep alive what was taken out", async () => {
    const { setFlagsFromString } = await import("node:v8");
    const { runInNewContext } = await import("node:vm");
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const ring = new Ring<object>();
    const gone: WeakRef<object>[] = [];
    const add = (): void => {
      const value = { text: "payload" };
      gone.push(new WeakRef(value));
      ring.push(value);
    };
    for (let n = 0; n < 40; n++) add();
    const kept = ring.at(39);
    for (let n = 0; n < 39; n++) ring.shift();
    // A WeakRef made or read in this turn keeps its target; in the next one it does not.
    await new Promise((resolve) => setImmediate(resolve));
    collect();
    expect(gone.slice(0, 39).filter((ref) => ref.deref() !== undefined)).toHaveLength(0);
    expect(gone[39]?.deref()).toBe(kept);
  });
});
