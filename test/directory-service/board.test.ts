import { expect, it } from "vitest";
import { Board } from "../../src/directory-service/board.ts";
import type { NodeEntry } from "../../src/directory-service/directory-messages.ts";

const entry = (nodeId: string, epoch = 1, address = `tcp://${nodeId}:1`): NodeEntry => ({
  ...{ nodeId, service: "s", epoch },
  addresses: [address],
});
const boardOf = (limits = { entriesMax: 10, graceMs: 5_000 }) => {
  const changed: string[] = [];
  return { board: new Board(limits, (nodeId) => changed.push(nodeId)), changed };
};

it("a statement is shown until its source says goodbye, and said again it is no news", () => {
  const { board, changed } = boardOf();
  expect(board.state(1, entry("a"))).toBe(true);
  expect(board.state(1, entry("a"))).toBe(true);
  expect(board.find("a")).toEqual(entry("a"));
  board.remove(1);
  expect(board.find("a")).toBeUndefined();
  expect([...board.nodeIds()]).toEqual([]);
  expect(changed).toEqual(["a", "a"]);
});

it("one whose source broke off stays for the grace, and for ever if it comes back", () => {
  const { board, changed } = boardOf();
  board.state(1, entry("a"));
  board.state(2, entry("b"));
  board.leave(1, 1_000);
  board.leave(2, 2_000);
  expect(board.expire(5_999)).toBe(6_000);
  expect(board.find("a")).toEqual(entry("a"));
  board.state(2, entry("b"));
  changed.length = 0;
  expect(board.expire(100_000)).toBe(Number.POSITIVE_INFINITY);
  expect(board.find("a")).toBeUndefined();
  expect(board.find("b")).toEqual(entry("b"));
  expect(changed).toEqual(["a"]);
});

it("of several sources the one that is there counts, then a stream, the later life, the later word", () => {
  const { board } = boardOf();
  board.state("link a", entry("a", 9, "tcp://link:1"));
  expect(board.find("a")?.addresses).toEqual(["tcp://link:1"]);
  board.state(1, entry("a", 2, "tcp://first:1"));
  expect(board.find("a")?.addresses).toEqual(["tcp://first:1"]);
  board.state(2, entry("a", 2, "tcp://second:1"));
  expect(board.find("a")?.addresses).toEqual(["tcp://second:1"]);
  board.state(3, entry("a", 1, "tcp://old:1"));
  expect(board.find("a")?.addresses).toEqual(["tcp://second:1"]);
  board.leave(2, 0);
  expect(board.find("a")?.addresses).toEqual(["tcp://first:1"]);
  board.remove(1);
  board.remove(3);
  expect(board.find("a")?.addresses).toEqual(["tcp://link:1"]);
  board.remove("link a");
  expect(board.find("a")?.addresses).toEqual(["tcp://second:1"]);
});

it("nobody takes away what another source said of the same node", () => {
  const { board } = boardOf();
  board.state(1, entry("a", 1, "tcp://mine:1"));
  board.state(2, entry("a", 5, "tcp://liar:1"));
  board.remove(2);
  expect(board.find("a")?.addresses).toEqual(["tcp://mine:1"]);
});

it("full, it refuses news, unless somebody is in the grace, the first to end first", () => {
  const { board } = boardOf({ entriesMax: 2, graceMs: 5_000 });
  board.state(1, entry("a"));
  board.state(2, entry("b"));
  expect(board.state(3, entry("c"))).toBe(false);
  board.leave(2, 0);
  board.leave(1, 1);
  expect(board.state(3, entry("c"))).toBe(true);
  expect(board.size).toBe(2);
  expect(board.find("b")).toBeUndefined();
  expect(board.find("a")).toBeDefined();
});
