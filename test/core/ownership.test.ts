import { describe, expect, it } from "vitest";
import { computeShardMap, SHARD_COUNT } from "../../src/core/shard-map.ts";
import { xxh32Bytes } from "../../src/testing/xxh32.ts";
import { DEBOUNCE_MS, LEASE_MS, OwnershipWorld, ownersOf } from "./ownership-world.ts";

/** Where the dumb oracle says every token is in the end. */
const mapOf = (ids: readonly string[]): string[] => {
  const members = ids.map((id) => ({ id, hash: xxh32Bytes(Buffer.from(id)), weight: 1 }));
  return Array.from(computeShardMap(members), (index) => (members[index] as { id: string }).id);
};

const SETTLE_MS = 4 * LEASE_MS;
const SEEDS = Array.from({ length: 10 }, (_, seed) => seed + 1);

describe("ownership", () => {
  it("gives a lone member every shard after one debounce", () => {
    const world = new OwnershipWorld(1, { delayMs: 1 });
    world.join("a");
    world.run(DEBOUNCE_MS - 1);
    expect(ownersOf(world)).toBe("shard 0 is held by []");
    world.run(2);
    expect(ownersOf(world)).toEqual(mapOf(["a"]));
  });

  it("moves what must move when one joins, and nothing else", () => {
    const world = new OwnershipWorld(2, { delayMs: 5 });
    world.join("a");
    world.join("b");
    world.run(SETTLE_MS);
    const before = ownersOf(world);
    expect(before).toEqual(mapOf(["a", "b"]));
    world.join("c");
    world.run(SETTLE_MS);
    const after = ownersOf(world);
    expect(after).toEqual(mapOf(["a", "b", "c"]));
    for (let shard = 0; shard < SHARD_COUNT; shard++) {
      const taken = world.terms.get(shard) ?? [];
      expect(taken.length).toBe(after[shard] === "c" ? 2 : 1);
    }
  });

  it("moves at most 512 shards at a time, and all of them when a member leaves", () => {
    const world = new OwnershipWorld(3, { delayMs: 1 });
    const a = world.join("a");
    world.run(SETTLE_MS);
    const b = world.join("b");
    world.run(DEBOUNCE_MS + 8);
    const moving = Array.from({ length: SHARD_COUNT }, (_, shard) => a.ownership.isMoving(shard));
    expect(moving.filter(Boolean).length).toBe(512);
    world.run(SETTLE_MS);
    world.leave(b);
    world.run(60);
    expect(b.isAlive).toBe(false);
    expect(ownersOf(world)).toEqual(mapOf(["a"]));
  });

  it("leaves a dead member's shards alone until its lease has run out", () => {
    const world = new OwnershipWorld(4, { delayMs: 2 });
    world.join("a");
    const b = world.join("b");
    world.run(SETTLE_MS);
    world.kill(b);
    world.run(LEASE_MS);
    expect(ownersOf(world)).toContain("held by []");
    world.run(LEASE_MS / 2);
    expect(ownersOf(world)).toEqual(mapOf(["a"]));
  });

  it("waits for one that it cannot reach but another can", () => {
    const world = new OwnershipWorld(5, { delayMs: 2 });
    const [a, b] = [world.join("a"), world.join("b")];
    world.join("c");
    world.run(SETTLE_MS);
    const before = ownersOf(world);
    world.cut(a, b);
    world.run(10 * LEASE_MS);
    expect(ownersOf(world)).toEqual(before);
  });

  it("gives an earlier life's shards to the next one at once, at higher terms", () => {
    const world = new OwnershipWorld(6, { delayMs: 2 });
    const first = world.join("a");
    world.run(SETTLE_MS);
    world.kill(first);
    const second = world.join("a");
    expect(ownersOf(world)).toEqual(mapOf(["a"]));
    expect(second.ownership.fenceOf(9)).toBeGreaterThan(first.ownership.fenceOf(9));
  });

  it("lets an instance that started apart yield to those who were there", () => {
    const world = new OwnershipWorld(7, { delayMs: 2 });
    const a = world.join("a");
    const b = world.join("b");
    world.run(SETTLE_MS);
    const [fenceA, fenceB] = [a, b].map(({ ownership }) => ownership.fenceOf(1));
    for (const member of [a, b]) member.isAlive = false; // nobody reaches the one that starts now
    const apart = world.join("c");
    world.run(DEBOUNCE_MS + 10);
    expect(apart.ownership.owned).toBe(SHARD_COUNT);
    for (const member of [a, b]) {
      member.isAlive = true;
      member.heardMs = world.nowMs;
      world.link(apart, member);
    }
    world.isGentle = false;
    world.run(20);
    expect(apart.ownership.owned).toBe(0); // its claims were taken again, not yielded to
    const again = [a, b].map(({ ownership }) => ownership.fenceOf(1));
    expect(Math.max(...again)).toBeGreaterThan(Math.max(fenceA as number, fenceB as number));
    world.run(SETTLE_MS);
    expect(ownersOf(world)).toEqual(mapOf(["a", "b", "c"]));
  });

  it("renews a shard under a higher fence", () => {
    const world = new OwnershipWorld(8, { delayMs: 2 });
    const a = world.join("a");
    world.run(SETTLE_MS);
    const before = a.ownership.fenceOf(7);
    expect(a.ownership.renew(7, world.nowMs, 0)).toBe(true);
    expect(a.ownership.fenceOf(7)).toBeGreaterThan(before);
    expect(a.ownership.mayStart(7)).toBe(true);
  });

  it("keeps a used shard with its holder for good where it sticks, and moves the others", () => {
    const world = new OwnershipWorld(9, { delayMs: 2, sticky: true });
    const a = world.join("a");
    world.run(SETTLE_MS);
    for (let shard = 0; shard < 100; shard++) a.ownership.used(shard, world.nowMs);
    const b = world.join("b");
    world.run(2 * SETTLE_MS);
    const owners = ownersOf(world);
    const map = mapOf(["a", "b"]);
    expect(owners).toEqual(map.map((id, shard) => (shard < 100 ? "a" : id)));
    world.kill(a);
    world.run(10 * LEASE_MS);
    const held = Array.from({ length: SHARD_COUNT }, (_, shard) => b.mayStart(shard, world.nowMs));
    expect(held.indexOf(true)).toBe(100);
    expect(held.slice(100).every(Boolean)).toBe(true);
    world.join("a");
    world.run(SETTLE_MS);
    expect((ownersOf(world) as string[]).slice(0, 100)).toEqual(Array(100).fill("a"));
  });

  it.each(SEEDS)("never has two holders while members only join and leave (seed %i)", (seed) => {
    const world = new OwnershipWorld(seed, { delayMs: seed % 3 === 0 ? 60 : 5 });
    let named = 0;
    for (let turn = 0; turn < 12; turn++) {
      const staying = world.alive.filter(({ isLeaving }) => !isLeaving);
      if (staying.length < 2 || (staying.length < 5 && world.random.chance(0.6))) {
        world.join(`m${named++}`);
      } else world.leave(world.random.pick(staying));
      world.run(world.random.between(1, 600));
    }
    world.run(2 * SETTLE_MS);
    expect(world.wrong).toEqual([]);
    expect(ownersOf(world)).toEqual(mapOf(world.alive.map(({ id }) => id)));
  });

  it.each(SEEDS)(
    "finds one owner for every shard after deaths, pauses and cuts (seed %i)",
    (seed) => {
      const world = new OwnershipWorld(1_000 + seed, { delayMs: 10 });
      let named = 0;
      // One node is one process: an id that lives is not started again.
      const next = (): string => {
        for (;;) {
          const id = `m${named++ % 7}`;
          if (world.alive.every((member) => member.id !== id)) return id;
        }
      };
      for (let turn = 0; turn < 15; turn++) {
        const { alive, random } = world;
        const what = random.integer(0, 5);
        if (alive.length < 2 || (what <= 1 && alive.length < 5)) world.join(next());
        else if (what === 2) world.kill(random.pick(alive));
        else if (what === 3) world.pause(random.pick(alive), random.between(100, 5_000));
        else if (what === 4) {
          const [one, other] = [random.pick(alive), random.pick(alive)];
          if (one !== other) world.cut(one, other);
        } else world.leave(random.pick(alive));
        world.run(random.between(1, 2_000));
      }
      for (const [at, one] of world.alive.entries()) {
        for (const other of world.alive.slice(at + 1)) {
          if (!one.links.has(other)) world.link(one, other);
        }
      }
      if (world.alive.every(({ isLeaving }) => isLeaving)) world.join("last");
      world.run(5_000 + 4 * SETTLE_MS);
      expect(ownersOf(world)).toEqual(mapOf(world.alive.map(({ id }) => id)));
    },
  );
});
