/** A durable group as a word that goes round: who never met its members owes it, whoever restarts, until it is removed. */
import { afterEach, expect, it } from "vitest";
import type { ChildNode } from "./child-node.ts";
import { type World, worlds } from "./world.ts";

const world = worlds(afterEach);
const SUBJECT = "order.placed";
const ID = `event audit ${SUBJECT}`;
const LISTEN = { name: "audit", verb: "subscribe", subject: SUBJECT } as const;
const OPTIONS = { group: "audit", durable: true };

const owes = async (node: ChildNode): Promise<number | undefined> =>
  (await node.ledger())[ID]?.pending;
const knows = (node: ChildNode): Promise<void> =>
  node.sees("knows the group", async () => (await owes(node)) !== undefined);

/** Ports stay the same over restarts: so nodes find together again without any discovery. */
const portOf = (node: ChildNode): number =>
  Number(node.address.slice(node.address.lastIndexOf(":") + 1));

const restart = async (mesh: World, nodes: readonly ChildNode[]): Promise<ChildNode[]> => {
  await Promise.all(nodes.map((node) => node.kill()));
  return Promise.all(
    nodes.map((node) =>
      mesh.start(node.service, { node: { listen: { host: "127.0.0.1", port: portOf(node) } } }),
    ),
  );
};

it("is owed by a producer that never met a member, also after everybody was killed and started again", async () => {
  const mesh = await world();
  const [keeper, member] = [await mesh.start("keeper"), await mesh.start("member")];
  await mesh.link(keeper, member);
  await member.listen({ ...LISTEN, options: OPTIONS });
  await member.stop();
  const producer = await mesh.start("producer");
  await mesh.link(keeper, producer);
  await knows(producer);
  await producer.publish(SUBJECT, 1);

  const [again, back] = (await restart(mesh, [keeper, producer])) as [ChildNode, ChildNode];
  await Promise.all([again.meets(back), back.meets(again)]); // remembered: nobody told them
  await back.publish(SUBJECT, 2);
  expect(await owes(back)).toBe(2);
  const late = await mesh.start("member");
  await late.listen({ ...LISTEN, options: OPTIONS });
  await mesh.link(late, back);
  await late.handledAll("audit", [1, 2]);
  expect(late.numbers("end", "audit")).toEqual([1, 2]);
});

it("ends by name at every node, stays ended after everybody was killed, and begins anew with who comes then", async () => {
  const mesh = await world();
  const [keeper, member] = [await mesh.start("keeper"), await mesh.start("member")];
  const producer = await mesh.start("producer");
  await mesh.link(keeper, member, producer);
  await member.listen({ ...LISTEN, options: OPTIONS });
  await knows(keeper);
  await member.stop();
  await producer.publish(SUBJECT, 1);
  expect(await owes(producer)).toBe(1);
  await keeper.call({ op: "remove", group: "audit", subject: SUBJECT });
  for (const node of [keeper, producer]) {
    await node.sees("forgot the group", async () => (await owes(node)) === undefined);
  }
  // The folder of the member remembers the group: its word is older than the end.
  const nodes = await restart(mesh, [keeper, producer]);
  const [again, back] = nodes as [ChildNode, ChildNode];
  await Promise.all([again.meets(back), back.meets(again)]);
  const old = await mesh.start("member");
  await mesh.link(again, back, old);
  expect([await owes(again), await owes(back)]).toEqual([undefined, undefined]);
  await old.listen({ ...LISTEN, options: OPTIONS });
  await back.publish(SUBJECT, 2);
  await old.handledAll("audit", [2]);
  expect(old.numbers("end", "audit")).toEqual([2]);
});
