/** Nodes with several transports: which one a pair uses, and what becomes of its messages when that one dies. */
import { afterEach, describe, expect, it } from "vitest";
import type { ChildNode } from "./child-node.ts";
import { range } from "./until.ts";
import { type World, worlds } from "./world.ts";

const world = worlds(afterEach);

const ALL = ["zmq", "tcp", "grpc"] as const;
const WITH_FILES = [...ALL, "unix"] as const;
const AT_A_TIME = 10;
const ORDERS = "event orders orders";

const through = async (node: ChildNode, other: ChildNode): Promise<string> =>
  (await node.peers()).find(({ nodeId }) => nodeId === other.id)?.transport ?? "";

const addressOf = (node: ChildNode, scheme: string): string =>
  node.addresses.find((one) => one.startsWith(`${scheme}://`)) ?? "";

/** A producer that dials, and a consumer with a durable subscription. */
const pair = async (
  mesh: World,
  schemes: readonly (typeof WITH_FILES)[number][],
  scheme: string,
): Promise<{ producer: ChildNode; consumer: ChildNode }> => {
  const transports = { transports: schemes };
  const [producer, consumer] = await Promise.all([
    mesh.start("producer", transports),
    mesh.start("orders", transports),
  ]);
  await consumer.listen({
    name: "orders",
    verb: "subscribe",
    subject: "orders",
    options: { group: "orders", durable: true, concurrency: 1 },
  });
  await producer.call({ op: "connect", address: addressOf(consumer, scheme) });
  await Promise.all([producer.meets(consumer), consumer.meets(producer)]);
  return { producer, consumer };
};

/** In order, some at a time, so that there is always something under way. */
const publishAll = async (producer: ChildNode, numbers: readonly number[]): Promise<void> => {
  const options = { key: "one" };
  for (let at = 0; at < numbers.length; at += AT_A_TIME) {
    const some = numbers.slice(at, at + AT_A_TIME);
    await Promise.all(some.map((n) => producer.publish("orders", n, { options })));
  }
};

describe("a pair that knows one address", () => {
  for (const [schemes, dialled, best] of [
    [ALL, "zmq", "tcp"],
    [ALL, "grpc", "tcp"],
    [["zmq", "grpc"], "zmq", "grpc"],
    [["grpc"], "grpc", "grpc"],
    [WITH_FILES, "zmq", "unix"],
    [WITH_FILES, "unix", "unix"],
  ] as const) {
    it(`of ${dialled} is linked through ${best} when both have ${schemes.join(", ")}`, async () => {
      const { producer, consumer } = await pair(await world(), schemes, dialled);
      expect(await through(producer, consumer)).toBe(best);
      expect(await through(consumer, producer)).toBe(best);
      expect(await consumer.counter("link.sentOn")).toBe(dialled === best ? 0 : 1);
      await publishAll(producer, [1]);
      await producer.settled(ORDERS, 1);
      // One link, from the start: nobody was counted as gone or refused in between.
      expect(producer.happened("status", "peer-down")).toEqual([]);
      expect(consumer.happened("status", "peer-down")).toEqual([]);
      expect(producer.happened("status", "link-refused")).toEqual([]);
    });
  }

  it("stays with it where the better one does not answer", async () => {
    const mesh = await world();
    const transports = { transports: ALL };
    const [a, b] = await Promise.all([mesh.start("a", transports), mesh.start("b", transports)]);
    await b.call({ op: "close-listener", scheme: "tcp" });
    await b.call({ op: "close-listener", scheme: "grpc" });
    await a.call({ op: "connect", address: addressOf(b, "zmq") });
    await Promise.all([a.meets(b), b.meets(a)]);
    expect(await through(a, b)).toBe("zmq");
  });
});

describe("a transport that dies under a pair", () => {
  it("costs nothing where it was a socket file: tcp takes over", async () => {
    const { producer, consumer } = await pair(await world(), ["tcp", "unix"], "tcp");
    expect(await through(producer, consumer)).toBe("unix");
    const publishing = publishAll(producer, range(0, 300));
    await consumer.handled("orders", 100);
    await consumer.call({ op: "close-listener", scheme: "unix" });
    await producer.sees("is linked through tcp", async () => {
      return (await through(producer, consumer)) === "tcp";
    });
    await publishing;
    const counts = await producer.settled(ORDERS, 300);
    expect(counts).toMatchObject({ acked: 300, dead: 0, expired: 0, abandoned: 0, damaged: 0 });
    expect([...new Set(consumer.numbers("end", "orders"))]).toEqual(range(0, 300));
  });

  it("costs nothing: another takes over, and the better one is used again when the link is made anew", async () => {
    const { producer, consumer } = await pair(await world(), ALL, "zmq");
    expect(await through(producer, consumer)).toBe("tcp");
    const total = 600;
    const publishing = publishAll(producer, range(0, total));
    const falls = async (count: number, scheme: string, next: string): Promise<void> => {
      await consumer.handled("orders", count);
      await consumer.call({ op: "close-listener", scheme });
      await producer.sees(`is linked through ${next}`, async () => {
        return (await through(producer, consumer)) === next;
      });
    };
    await falls(100, "tcp", "grpc");
    await falls(200, "grpc", "zmq");
    await consumer.handled("orders", 300);
    await consumer.call({ op: "open-listener", scheme: "tcp" });
    // A link that works is kept; the next one is the best there is.
    expect(await through(producer, consumer)).toBe("zmq");
    await consumer.call({ op: "close-listener", scheme: "zmq" });
    await producer.sees("is linked through tcp again", async () => {
      return (await through(producer, consumer)) === "tcp";
    });
    await publishing;
    const counts = await producer.settled(ORDERS, total);
    expect(counts).toMatchObject({ acked: total, dead: 0, expired: 0, abandoned: 0, damaged: 0 });
    // Handled once in effect, and first handled in the order of the calls.
    const firsts = [...new Set(consumer.numbers("end", "orders"))];
    expect(firsts).toEqual(range(0, total));
  });
});
