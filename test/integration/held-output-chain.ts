/**
 * The chain of the held-output tests: A publishes jobs, the members B1 and B2 of one group handle them and
 * send an event and a command through ctx for each, C records both and is never killed.
 *
 * Whatever is killed when, C must see each effect once.
 */
import { join } from "node:path";
import { expect } from "vitest";
import { lmdbEngine } from "../../src/journal/lmdb/lmdb-engine.ts";
import { walEngine } from "../../src/journal/wal/wal-engine.ts";
import type { KillRule, Listen } from "../children/node-protocol.ts";
import type { ChildNode } from "./child-node.ts";
import { range } from "./until.ts";
import type { World } from "./world.ts";

export const JOBS = 12;
const KEYS = 4;
const WORK = "event work job.posted";
const STORE_BYTES = 20 * 2 ** 30;

export const WORKER: Listen = {
  name: "jobs",
  verb: "subscribe",
  subject: "job.posted",
  options: { group: "work", durable: true },
  forward: [
    { verb: "publish", subject: "job.done" },
    { verb: "send", subject: "bill.write" },
  ],
};

export class Chain {
  readonly world: World;
  readonly c: ChildNode;
  readonly #live = new Map<string, ChildNode>();
  /** Output that an earlier life of a worker left held. */
  readonly #heldBefore = new Map<string, number>();

  private constructor(world: World, c: ChildNode) {
    this.world = world;
    this.c = c;
  }

  /** A and C, linked; C records. */
  static async start(world: World, kill?: KillRule): Promise<Chain> {
    const rule = kill === undefined ? {} : { kill };
    const [a, c] = await Promise.all([world.start("a", rule), world.start("c")]);
    const chain = new Chain(world, c);
    chain.#live.set("a", a);
    await world.link(a, c);
    const options = { group: "records", durable: true };
    await c.listen({ name: "events", verb: "subscribe", subject: "job.done", options });
    await c.listen({ name: "commands", verb: "handle", subject: "bill.write" });
    return chain;
  }

  get a(): ChildNode {
    return this.#live.get("a") as ChildNode;
  }

  /** Starts a worker, or the producer again, and links it with all that live. */
  async join(name: string, kill?: KillRule, listen: Partial<Listen> = {}): Promise<ChildNode> {
    this.#heldBefore.set(name, await this.heldBy(name));
    const node = await this.world.start(name, kill === undefined ? {} : { kill });
    const others = [this.c, ...this.#live.values()].filter(({ alive, frozen }) => alive && !frozen);
    // A may be killed while it is being linked: that is for the test to see.
    await Promise.all(others.map((other) => this.#link(node, other)));
    this.#live.set(name, node);
    if (name !== "a") await node.listen({ ...WORKER, ...listen });
    return node;
  }

  async post(from = 0, count = JOBS): Promise<void> {
    for (const n of range(from, count)) {
      await this.a.publish("job.posted", n, { options: { key: `k${n % KEYS}` } });
    }
  }

  /** Rows of held output in the folder of a worker that is dead. */
  async heldBy(name: string): Promise<number> {
    const dataDir = join(this.world.folder, name);
    const store = await walEngine(lmdbEngine()).open({ dataDir, bytesMax: STORE_BYTES });
    const rows = store.scan("held", { limit: 1_000 }).length;
    await store.close();
    return rows;
  }

  /** A needs nobody for its messages any more. */
  async settled(count = JOBS): Promise<void> {
    expect(await this.a.settled(WORK, count)).toMatchObject({ acked: count, dead: 0 });
  }

  /** A has settled all, C has each effect, nothing is on its way any more, and C has each once. */
  async proves(count = JOBS): Promise<void> {
    const numbers = range(0, count);
    await this.c.handledAll("events", numbers);
    await this.c.handledAll("commands", numbers);
    await this.settled(count);
    const workers = [...this.#live].filter(([name, { alive }]) => name !== "a" && alive);
    for (const [name, worker] of workers) {
      await worker.sees("what it held is released or discarded", async () => {
        const counters = await worker.counters();
        const { "output.released": released = 0, "output.discarded": discarded = 0 } = counters;
        return released + discarded >= (this.#heldBefore.get(name) ?? 0);
      });
      await worker.sees("C settles all it sent", async () => {
        return Object.values(await worker.ledger()).every(({ pending }) => pending === 0);
      });
      await worker.stop();
      await worker.kill();
      expect(await this.heldBy(name)).toBe(0);
    }
    // An ack of C follows what C says; the answer to a call comes after both.
    await this.c.call({ op: "info" });
    const sorted = (name: string) => this.c.numbers("end", name).sort((x, y) => x - y);
    expect(sorted("events")).toEqual(numbers);
    expect(sorted("commands")).toEqual(numbers);
  }

  async #link(node: ChildNode, other: ChildNode): Promise<void> {
    await Promise.race([this.world.link(node, other), node.exited, other.exited]);
  }
}
