/** Nodes that only a directory introduces: they meet, and go on when it is killed. */
import { afterEach, expect, it } from "vitest";
import { entryOf, RawDirectory } from "../directory-service/raw-sides.ts";
import type { ChildNode } from "./child-node.ts";
import { range } from "./until.ts";
import { type World, worlds } from "./world.ts";

const world = worlds(afterEach);

const meetAll = (nodes: readonly ChildNode[]): Promise<unknown> =>
  Promise.all(nodes.flatMap((a) => nodes.map((b) => (a === b ? undefined : a.meets(b)))));

const serve = async (mesh: World, name: string, port = 0) => {
  const node = await mesh.start(name);
  const address = (await node.call({ op: "directory", port })) as string;
  return { node, address, port: Number(address.split(":").at(-1)) };
};

const listen = { name: "log", verb: "subscribe", subject: "sale.made" } as const;

/** Before that nobody is told anything twice: what went wrong at first is not made up for. */
const REPEAT_MS = 20_000;

it("three nodes that know nothing but a directory meet at once: by the first word, and the first dial", async () => {
  const mesh = await world();
  const { address } = await serve(mesh, "directory");
  const children = ["a", "b", "c"].map((name) => mesh.spawn(name));
  await Promise.all(children.map((child) => child.call({ op: "info" }).catch(() => undefined)));
  const startedMs = performance.now();
  await Promise.all(
    children.map((child) => child.create(mesh.options(child.service, { directories: [address] }))),
  );
  await meetAll(children);
  expect(performance.now() - startedMs).toBeLessThan(REPEAT_MS);
  for (const child of children) expect(await child.counter("link.dialFailed")).toBe(0);
});

it("go on when the directory is killed, and use it again when it is back", async () => {
  const mesh = await world();
  const { node, address, port } = await serve(mesh, "directory");
  const directories = [address];
  const [a, b] = await Promise.all([
    mesh.start("a", { directories }),
    mesh.start("b", { directories }),
  ]);
  await meetAll([a, b]);
  await b.listen({ ...listen, options: { durable: true } });
  await node.kill();
  await a.sees("it is missed", () => a.happened("status", "discovery-problem").length > 0);
  for (const n of range(0, 20)) await a.publish("sale.made", n);
  expect(await a.settled("event b sale.made", 20)).toMatchObject({ acked: 20 });
  const peers = await a.peers();
  expect(peers.find(({ nodeId }) => nodeId === b.id)?.state).toBe("alive");

  const again = await serve(mesh, "directory", port);
  const late = await mesh.start("late", { directories });
  await meetAll([a, b, late, again.node]);
});

it("of two directories one may die, and what only the other knows is found", async () => {
  const mesh = await world();
  const [one, two] = await Promise.all([serve(mesh, "one"), serve(mesh, "two")]);
  const directories = [one.address, two.address];
  const a = await mesh.start("a", { directories });
  await Promise.all([a.meets(one.node), a.meets(two.node)]);
  await one.node.kill();
  const [b, c] = await Promise.all([
    mesh.start("b", { directories }),
    mesh.start("c", { directories: [two.address] }),
  ]);
  await meetAll([a, b, c, two.node]);
});

it("a directory that lies costs dials, and hides nobody whom another directory knows", async () => {
  const mesh = await world();
  const { node, address } = await serve(mesh, "directory");
  const b = await mesh.start("b", { directories: [address] });
  await b.meets(node);
  const lies = Array.from({ length: 200 }, () => entryOf({ addresses: ["zmq://127.0.0.1:9"] }));
  const other = entryOf({ addresses: b.addresses }); // somebody else is said to be at b's address
  const own = entryOf({ nodeId: b.id, addresses: ["zmq://127.0.0.1:9"] });
  await using liar = await RawDirectory.start((say) => {
    say({ there: [...lies, other, own], gone: [node.id], listed: true });
  });
  const a = await mesh.start("a", { directories: [liar.address, address] });
  await meetAll([a, b, node]);
  await a.sees("it has tried the lies", async () => (await a.counter("link.dialFailed")) >= 200);
  await b.listen(listen);
  await a.publish("sale.made", 1);
  await b.handledAll("log", [1]);
  const alive = (await a.peers()).filter(({ state }) => state === "alive");
  expect(alive.map(({ nodeId }) => nodeId).sort()).toEqual([b.id, node.id].sort());
});

it("a directory alone can introduce two nodes, and those of another mesh are refused", async () => {
  const [mesh, other] = await Promise.all([world(), world()]);
  const a = await mesh.start("a");
  const entry = entryOf({ nodeId: a.id, addresses: a.addresses });
  await using directory = await RawDirectory.start((say) => say({ there: [entry], listed: true }));
  const b = await mesh.start("b", { directories: [directory.address] });
  await Promise.all([a.meets(b), b.meets(a)]);

  const { address } = await serve(mesh, "directory");
  const stranger = await other.start("stranger", { directories: [address] });
  await stranger.sees("the refusal", () =>
    stranger
      .happened("status", "discovery-problem")
      .some(({ change }) => String(change?.message).includes("WRONG_MESH")),
  );
  expect(await stranger.peers()).toEqual([]);
});
