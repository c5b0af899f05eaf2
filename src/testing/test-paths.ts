/** What a test does to the network: paths between machines are cut, slow or lossy until that is undone. */
import type { TestWorld } from "./test-world.ts";
import { QUIET_PATH } from "./virtual-network.ts";
import type { Path } from "./virtual-path.ts";

export type Sides = { readonly from: readonly string[]; readonly to: readonly string[] };

export class TestPaths {
  readonly #world: TestWorld;

  constructor(world: TestWorld) {
    this.#world = world;
  }

  /** Nothing passes; the result lets pass again what was held. */
  cut(sides: Sides, oneWay: boolean): () => void {
    const { network } = this.#world;
    const pairs = pairsOf(sides, oneWay);
    this.#world.changed(`cut ${shown(sides)}`);
    for (const [from, to] of pairs) network.block(from, to);
    return once(() => {
      this.#world.changed(`healed ${shown(sides)}`);
      for (const [from, to] of pairs) network.unblock(from, to);
    });
  }

  /** Frames take so long, both ways; the result undoes that. */
  delay(sides: Sides, meanMs: number, minMs: number): () => void {
    return this.#change(sides, { delayMeanMs: Math.max(meanMs, minMs), delayMinMs: minMs });
  }

  /** A frame is lost with this probability, and its connection breaks; the result undoes that. */
  loss(sides: Sides, probability: number): () => void {
    return this.#change(sides, { loss: probability });
  }

  #change(sides: Sides, change: Partial<Path>): () => void {
    const { network } = this.#world;
    const pairs = pairsOf(sides, false);
    this.#world.changed(`${JSON.stringify(change)} ${shown(sides)}`);
    for (const [from, to] of pairs) Object.assign(network.path(from, to), change);
    const names = Object.keys(change) as (keyof Path)[];
    return once(() => {
      const quiet = Object.fromEntries(names.map((name) => [name, QUIET_PATH[name]]));
      for (const [from, to] of pairs) Object.assign(network.path(from, to), quiet);
    });
  }
}

const pairsOf = ({ from, to }: Sides, oneWay: boolean): [string, string][] => {
  const there = from.flatMap((a) =>
    to.flatMap((b): [string, string][] => (a === b ? [] : [[a, b]])),
  );
  return oneWay ? there : [...there, ...there.map(([a, b]): [string, string] => [b, a])];
};

const once = (fn: () => void): (() => void) => {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    fn();
  };
};

const shown = ({ from, to }: Sides): string => `${from.join(" ")} | ${to.join(" ")}`;
