/** Messages, requests and replies that travel in pieces: whole, in order and once, whatever dies in between. */
import { afterEach, describe, expect, it } from "vitest";
import type { KillRule } from "../children/node-protocol.ts";
import type { ChildNode } from "./child-node.ts";
import { DEADLINE_MS, range } from "./until.ts";
import { type NodeSetup, type World, worlds } from "./world.ts";

const world = worlds(afterEach);

const SCHEMES = ["tcp", "zmq", "grpc"] as const;
type Scheme = (typeof SCHEMES)[number];
const MIB = 2 ** 20;
const LOG = {
  name: "log",
  verb: "subscribe",
  subject: "scan.made",
  options: { durable: true, concurrency: 1 },
} as const;
const LEDGER = "event taker scan.made";

const setup = (scheme: Scheme, kill?: KillRule): NodeSetup => ({
  transports: [scheme],
  node: { limits: { payloadBytesMax: 16 * MIB } },
  ...(kill === undefined ? {} : { kill }),
});

const pair = async (
  mesh: World,
  scheme: Scheme,
  kill: { giver?: KillRule; taker?: KillRule } = {},
): Promise<{ giver: ChildNode; taker: ChildNode }> => {
  const [giver, taker] = await Promise.all([
    mesh.start("giver", setup(scheme, kill.giver)),
    mesh.start("taker", setup(scheme, kill.taker)),
  ]);
  await mesh.link(giver, taker);
  return { giver, taker };
};

/** Every third one is large. */
const bytesOf = (n: number): number => (n % 3 === 0 ? 2 * MIB : 200);
const publish = (giver: ChildNode, n: number): Promise<unknown> => {
  const data = { n, textBytes: bytesOf(n) };
  return giver.call({ op: "publish", subject: "scan.made", data, options: { key: "one" } });
};
const sizes = (taker: ChildNode): Map<number, number> =>
  new Map(taker.happened("end", "log").map(({ n = -1, textBytes = 0 }) => [n, textBytes]));
const expected = (numbers: readonly number[]): Map<number, number> =>
  new Map(numbers.map((n) => [n, bytesOf(n)]));

describe.each(SCHEMES)("over %s", (scheme) => {
  it("large and small messages of one key come in order, each once", async () => {
    const { giver, taker } = await pair(await world(), scheme);
    await taker.listen(LOG);
    const numbers = range(0, 12);
    await Promise.all(numbers.map((n) => publish(giver, n)));
    expect(await giver.settled(LEDGER, 12)).toMatchObject({ acked: 12, dead: 0 });
    expect(taker.numbers("start", "log")).toEqual(numbers);
    expect(sizes(taker)).toEqual(expected(numbers));
    expect(await taker.counter("link.gap")).toBe(0);
  });

  it("a large request is answered with a large reply, and small ones pass it", async () => {
    const { giver, taker } = await pair(await world(), scheme);
    await taker.listen({ name: "turn", verb: "reply", subject: "scan.turn" });
    const ask = (data: object): Promise<unknown> =>
      giver.call({
        op: "request",
        subject: "scan.turn",
        data,
        options: { timeoutMs: DEADLINE_MS },
      });
    await ask({ n: 1 });
    const large = ask({ n: 2, textBytes: 12 * MIB });
    const small = await Promise.all(range(3, 10).map((n) => ask({ n })));
    expect(small).toEqual(range(3, 10).map((n) => ({ n: 2 * n })));
    expect(await large).toEqual({ n: 4, textBytes: 12 * MIB });
  });

  it("a large message is emitted", async () => {
    const { giver, taker } = await pair(await world(), scheme);
    await taker.listen({ ...LOG, options: { durable: false } });
    const data = { n: 3, textBytes: 12 * MIB };
    await giver.sees("it is taken", async () => {
      return (await giver.call({ op: "emit", subject: "scan.made", data })) === true;
    });
    await taker.handled("log", 1);
    expect(sizes(taker)).toEqual(new Map([[3, 12 * MIB]]));
  });
});

/** In the middle of a large message: one of 2 MiB is some 64 pieces. */
const NTH = 30;

describe.each(["tcp", "zmq"] as const)("over %s", (scheme) => {
  for (const when of ["before", "after"] as const) {
    it(`what a consumer had half of when it was killed comes again, ${when} a piece`, async () => {
      const mesh = await world();
      const kill = { direction: "in", frame: "piece", nth: NTH, when } as const;
      const { giver, taker } = await pair(mesh, scheme, { taker: kill });
      await taker.listen(LOG);
      const numbers = range(0, 6);
      await Promise.all(numbers.map((n) => publish(giver, n)));
      expect(await taker.exited).toBe("SIGKILL");
      const again = await mesh.start("taker", setup(scheme));
      await again.listen(LOG);
      await mesh.link(giver, again);
      expect(await giver.settled(LEDGER, 6)).toMatchObject({ acked: 6, dead: 0 });
      const first = taker.numbers("end", "log");
      const second = again.numbers("start", "log");
      expect(second).toEqual(range(second[0] ?? 0, second.length));
      expect([...new Set([...first, ...second])]).toEqual(numbers);
      expect(new Map([...sizes(taker), ...sizes(again)])).toEqual(expected(numbers));
    });
  }

  it("what a producer had half sent when it was killed is sent by its next life", async () => {
    const mesh = await world();
    const kill = { direction: "out", frame: "piece", nth: NTH, when: "after" } as const;
    const { giver, taker } = await pair(mesh, scheme, { giver: kill });
    await taker.listen(LOG);
    const accepted: number[] = [];
    const calls = range(0, 6).map((n) =>
      publish(giver, n).then(
        () => accepted.push(n),
        () => {}, // not answered before the kill: it may be there or not
      ),
    );
    expect(await giver.exited).toBe("SIGKILL");
    await Promise.all(calls);
    const again = await mesh.start("giver", setup(scheme));
    await mesh.link(again, taker);
    await taker.handledAll("log", accepted);
    await again.sees("all is settled", async () => {
      return (await again.ledger())[LEDGER]?.pending === 0;
    });
    const handled = taker.numbers("end", "log");
    expect(handled).toEqual(range(0, handled.length));
    expect(sizes(taker)).toEqual(expected(handled));
  });
});
