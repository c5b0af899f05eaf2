import { expect, it } from "vitest";
import type { NodeEntry } from "../../src/directory-service/directory-messages.ts";
import { ENTRIES_MAX, HeardNodes } from "../../src/directory-service/heard-nodes.ts";

const entry = (nodeId: string, ...addresses: string[]): NodeEntry => ({
  ...{ nodeId, service: "s", epoch: 1 },
  addresses: addresses.length === 0 ? [`tcp://${nodeId}:1`] : addresses,
});
const heardOf = (directories: number) => {
  const found: { nodeId: string; addresses: readonly string[] }[] = [];
  const lost: string[] = [];
  const nodes = new HeardNodes(directories, {
    found: ({ nodeId, addresses }) => found.push({ nodeId, addresses }),
    lost: (nodeId) => lost.push(nodeId),
  });
  return { nodes, found, lost };
};

it("a node is lost when no directory lists it any more, and not before", () => {
  const { nodes, found, lost } = heardOf(2);
  nodes.there(0, entry("a"));
  nodes.there(1, entry("a"));
  nodes.gone(0, "a");
  expect(lost).toEqual([]);
  nodes.gone(1, "a");
  expect(lost).toEqual(["a"]);
  nodes.gone(1, "a");
  expect(lost).toEqual(["a"]);
  expect(found).toEqual([{ nodeId: "a", addresses: ["tcp://a:1"] }]);
});

it("addresses are taken from the directories in turn, so that none displaces another's", () => {
  const { nodes, found } = heardOf(2);
  const lies = Array.from({ length: 8 }, (_, at) => `tcp://lie${at}:1`);
  nodes.there(0, entry("a", ...lies));
  nodes.there(1, entry("a", "tcp://right:1"));
  expect(found.at(-1)?.addresses.slice(0, 2)).toEqual(["tcp://lie0:1", "tcp://right:1"]);
  expect(found.at(-1)?.addresses).toHaveLength(8);
});

it("a directory that begins anew takes nothing away until it has had its time", () => {
  const { nodes, lost } = heardOf(1);
  nodes.there(0, entry("a"));
  nodes.there(0, entry("b"));
  nodes.begin(0);
  nodes.there(0, entry("b"));
  expect(lost).toEqual([]);
  nodes.settle(0);
  expect(lost).toEqual(["a"]);
  expect(nodes.size).toBe(1);
});

it("a full list takes no more, but what is old gives way", () => {
  const { nodes, found, lost } = heardOf(1);
  for (let n = 0; n < ENTRIES_MAX; n++) expect(nodes.there(0, entry(`n${n}`))).toBe(true);
  expect(nodes.there(0, entry("late"))).toBe(false);
  expect(found).toHaveLength(ENTRIES_MAX);
  nodes.begin(0);
  expect(nodes.there(0, entry("late"))).toBe(true);
  expect(lost).toEqual(["n0"]);
  expect(nodes.size).toBe(ENTRIES_MAX);
});

it("what is the same is said once, and all of it again when asked", () => {
  const { nodes, found } = heardOf(1);
  nodes.there(0, entry("a"));
  nodes.there(0, entry("a"));
  expect(found).toHaveLength(1);
  nodes.there(0, { ...entry("a"), epoch: 2 });
  expect(found).toHaveLength(2);
  nodes.repeat();
  expect(found).toHaveLength(3);
});
