/** The nodes of one test: a mesh name and a folder of their own, all ended and removed afterwards. */
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ChildOptions } from "../children/node-protocol.ts";
import { ChildNode } from "./child-node.ts";

export type NodeSetup = Partial<Omit<ChildOptions, "node">> & {
  readonly node?: Partial<ChildOptions["node"]>;
};

/** Nobody is late by so much, on a busy machine either: who is taken for dead is dead, or stands still. */
const TIMES = { heartbeatMs: 100, leaseMs: 1_500, silenceMs: 4_000 } as const;

export class World {
  readonly mesh = `test-${randomUUID()}`;
  readonly folder: string;
  readonly nodes: ChildNode[] = [];

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(): Promise<World> {
    return new World(await mkdtemp(join(tmpdir(), "meshbus-world-")));
  }

  /** Starts a node. Its folder is named after it: the same name again is the same node, restarted. */
  async start(name: string, setup: NodeSetup = {}): Promise<ChildNode> {
    const child = this.spawn(name);
    await child.create(this.options(name, setup));
    return child;
  }

  /** The process without a node yet. */
  spawn(name: string): ChildNode {
    const child = new ChildNode(name);
    this.nodes.push(child);
    return child;
  }

  options(name: string, setup: NodeSetup = {}): ChildOptions {
    const dataDir = join(this.folder, name);
    return {
      ...setup,
      node: { service: name, mesh: this.mesh, dataDir, ...TIMES, ...setup.node },
    };
  }

  /** Links each node with each other one, and waits until both sides know. */
  async link(...nodes: ChildNode[]): Promise<void> {
    const pairs = nodes.flatMap((a, at) => nodes.slice(at + 1).map((b) => [a, b] as const));
    await Promise.all(
      pairs.map(async ([a, b]) => {
        await a.call({ op: "connect", address: b.address });
        await Promise.all([a.meets(b), b.meets(a)]);
      }),
    );
  }

  async end(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()));
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** One world per test: `const world = worlds(afterEach)` once, `await world()` in each test. */
export const worlds = (afterEach: (fn: () => Promise<void>) => void): (() => Promise<World>) => {
  let current: World[] = [];
  afterEach(async () => {
    const ended = current;
    current = [];
    await Promise.all(ended.map((world) => world.end()));
  });
  return async () => {
    const world = await World.create();
    current.push(world);
    return world;
  };
};
