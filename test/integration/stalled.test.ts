/** A member whose event loop is blocked keeps its keys; one that is paused, killed or blocked for too long does not. */

import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { Behaviour } from "../children/node-protocol.ts";
import type { ChildNode } from "./child-node.ts";
import { helloOf, RoguePeer } from "./rogue-peer.ts";
import { range } from "./until.ts";
import { type World, worlds } from "./world.ts";

const world = worlds(afterEach);

const HOUR_MS = 3_600_000;

/** The message whose handler does it. */
const TROUBLE = 1_000;
const KEYS = range(0, 16);

type Scene = {
  readonly mesh: World;
  readonly says: ChildNode;
  /** Owns `key`, and gets into trouble there. */
  readonly owner: ChildNode;
  readonly other: ChildNode;
  readonly key: string;
  readonly otherKey: string;
  readonly say: (n: number, key: string) => Promise<unknown>;
  /** Lets go on who is blocked. */
  readonly release: () => Promise<void>;
};

/** A producer and two members of a group; which of them owns which key is known. */
const scene = async (trouble: Omit<Behaviour, "only">, times: object = {}): Promise<Scene> => {
  const mesh = await world();
  const [says, one, two] = await Promise.all(
    ["says", "one", "two"].map((name) => mesh.start(name, { node: times })),
  );
  if (says === undefined || one === undefined || two === undefined) throw new Error("no nodes");
  await mesh.link(says, one, two);
  const path = join(mesh.folder, "go on");
  const behaviour = [{ ...trouble, path, only: [TROUBLE] }];
  const listen = { name: "work", verb: "subscribe", subject: "task.set" } as const;
  const options = { group: "work", durable: true } as const;
  await one.listen({ ...listen, options, behaviour });
  await two.listen({ ...listen, options });
  const say = (n: number, key: string) => says.publish("task.set", n, { options: { key } });
  for (const n of KEYS) await say(n, `k${n}`);
  await says.settled("event work task.set", KEYS.length);
  const [first] = one.numbers("end", "work");
  const [second] = two.numbers("end", "work");
  const keys = { key: `k${first}`, otherKey: `k${second}` };
  const release = () => writeFile(path, "");
  return { mesh, says, owner: one, other: two, say, release, ...keys };
};

const statesOf = (node: ChildNode, of: ChildNode): string[] =>
  node.events
    .filter(({ change }) => change?.nodeId === of.id && String(change.type).startsWith("peer-"))
    .map(({ name }) => name)
    .filter((name) => name !== "peer-up");

/** Why the peer was lost. */
const lossesOf = (node: ChildNode, of: ChildNode): string[] =>
  node.events
    .filter(({ name, change }) => name === "peer-down" && change?.nodeId === of.id)
    .map(({ change }) => String(change?.reason));

/** That the peer was lost, or taken for dead. */
const gone = (node: ChildNode, of: ChildNode): string[] =>
  statesOf(node, of).filter((name) => name === "peer-down" || name === "peer-dead");

/** It is in trouble now, and the others see it. */
const stalls = async (of: ChildNode, ...seenBy: readonly ChildNode[]): Promise<void> => {
  await of.sees("trouble", () => of.numbers("start", "work").includes(TROUBLE));
  for (const node of seenBy) {
    await node.sees("stalled", async () => (await stateOf(node, of)) === "stalled");
  }
};

const later = (node: ChildNode): number[] =>
  node.numbers("end", "work").filter((n) => n >= TROUBLE);

const stateOf = async (node: ChildNode, of: ChildNode): Promise<string | undefined> =>
  (await node.peers()).find(({ nodeId }) => nodeId === of.id)?.state;

describe("a member whose event loop is blocked", () => {
  it("for eight seconds is stalled, keeps its keys, and is alive again", async () => {
    const { says, owner, other, key, otherKey, say, release } = await scene({
      type: "block",
      ms: 8_000,
    });
    await say(TROUBLE, key);
    await stalls(owner, says, other);
    for (const n of range(TROUBLE + 1, 5)) await say(n, key);
    for (const n of range(2_000, 5)) await say(n, otherKey);
    await other.handledAll("work", range(2_000, 5)); // others go on meanwhile
    expect(owner.numbers("end", "work")).not.toContain(TROUBLE);
    await release();
    await owner.handledAll("work", range(TROUBLE, 6));
    await says.settled("event work task.set", KEYS.length + 11);
    expect(later(owner)).toEqual(range(TROUBLE, 6));
    expect(later(other)).toEqual(range(2_000, 5));
    for (const node of [says, other]) {
      await node.sees("alive", async () => (await stateOf(node, owner)) === "alive");
      expect(lossesOf(node, owner)).toEqual([]);
      expect(statesOf(node, owner)).toContain("peer-resumed");
      expect(lossesOf(owner, node)).toEqual([]); // it was away itself, and takes nobody else for dead
    }
    expect(await says.counter("peers.stalled")).toBeGreaterThan(0);
  });

  it("gets no requests that another can answer", async () => {
    const mesh = await world();
    const nodes = await Promise.all(["asks", "one", "two"].map((name) => mesh.start(name)));
    const [asks, one, two] = nodes as [ChildNode, ChildNode, ChildNode];
    await mesh.link(asks, one, two);
    await two.listen({ name: "q", verb: "reply", subject: "q.q" });
    const path = join(mesh.folder, "go on");
    const behaviour = [{ type: "block", path }] as const;
    await one.listen({ name: "q", verb: "reply", subject: "q.q", behaviour });
    // Requests take turns: soon one of them is with the member that blocks.
    const first = Promise.all(range(0, 2).map((n) => asks.request("q.q", n)));
    await asks.sees("trouble", () => one.numbers("start", "q").length > 0);
    await asks.sees("stalled", async () => (await stateOf(asks, one)) === "stalled");
    for (const n of range(10, 20)) {
      expect(await asks.request("q.q", n)).toEqual({ n: 2 * n });
    }
    expect(one.numbers("start", "q")).toHaveLength(1);
    await writeFile(path, "");
    await first;
    await asks.sees("alive", async () => (await stateOf(asks, one)) === "alive");
  });

  it("for longer than stalledMaxMs is dead, and what it did has no effect", async () => {
    const times = { stalledMaxMs: 3_000, silenceMs: 2_500 };
    const { says, owner, other, key, say, release } = await scene({ type: "block" }, times);
    await say(TROUBLE, key);
    for (const n of range(TROUBLE + 1, 3)) await say(n, key);
    await says.sees("dead", () => statesOf(says, owner).includes("peer-dead"));
    expect(stalled(says, owner)).toBe(true);
    expect(gone(says, owner)).toEqual(["peer-down", "peer-dead"]);
    await other.handledAll("work", range(TROUBLE, 4));
    await says.settled("event work task.set", KEYS.length + 4);
    expect(later(other)).toEqual(range(TROUBLE, 4));
    await release();
    await owner.sees("it goes on", () => later(owner).length > 0);
    await says.sees("alive", async () => (await stateOf(says, owner)) === "alive");
    expect((await says.ledger())["event work task.set"]).toMatchObject({ acked: KEYS.length + 4 });
  });

  it("and that is killed then is dead within its lease", async () => {
    const { says, owner, key, say } = await scene({ type: "block" }, { stalledMaxMs: HOUR_MS });
    await say(TROUBLE, key);
    await say(TROUBLE + 1, key);
    await stalls(owner, says);
    const before = gone(says, owner).length; // of two links at the start one was closed, perhaps
    await owner.kill();
    await says.sees("dead", () => statesOf(says, owner).includes("peer-dead"));
    expect(gone(says, owner).slice(before)).toEqual(["peer-down", "peer-dead"]);
  });
});

describe("a member whose process is stopped", () => {
  it("is dead after its lease, and its messages move", async () => {
    const { says, owner, other, key, say } = await scene({ type: "freeze" });
    const before = gone(says, owner).length;
    await say(TROUBLE, key);
    for (const n of range(TROUBLE + 1, 3)) await say(n, key);
    await says.sees("dead", () => statesOf(says, owner).includes("peer-dead"));
    expect(gone(says, owner).slice(before)).toEqual(["peer-down", "peer-dead"]);
    await other.handledAll("work", range(TROUBLE, 4));
    await says.settled("event work task.set", KEYS.length + 4);
    expect(later(other)).toEqual(range(TROUBLE, 4));
    owner.thaw();
  });
});

describe("the heartbeat's port of a node", () => {
  it("takes rubbish from anybody, and counts it", async () => {
    const { mesh, says, owner, key, say, release } = await scene({ type: "block" });
    const rogue = new RoguePeer(says.address);
    await rogue.send(helloOf(mesh.mesh));
    const welcome = await rogue.receive("welcome");
    const address = welcome?.type === "welcome" ? welcome.identity.heartbeat : "";
    rogue.end();
    expect(address).toMatch(/^udp:\/\/127\.0\.0\.1:\d+$/);
    const port = Number(address.split(":").at(-1));
    const socket = createSocket("udp4");
    for (const size of [1, 40, 80, 81, 1_000, 60_000]) {
      socket.send(randomBytes(size), port, "127.0.0.1");
    }
    await says.sees("counted", async () => (await says.counter("heartbeat.malformed")) >= 6);
    socket.close();
    await say(TROUBLE, key); // it still hears who is blocked, and who is alive
    await stalls(owner, says);
    await release();
    await says.sees("alive", async () => (await stateOf(says, owner)) === "alive");
    expect(gone(says, owner)).toEqual([]);
  });
});

const stalled = (node: ChildNode, of: ChildNode): boolean =>
  statesOf(node, of).includes("peer-stalled");
