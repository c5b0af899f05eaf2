import { describe, expect, it } from "vitest";
import { staticPeers } from "../../../src/discovery/static/static-peers.ts";
import { MeshError } from "../../../src/errors.ts";
import type { PeerHint } from "../../../src/ports/discovery.ts";
import { announcement, contextFor } from "../discovery-recorder.ts";
import { VirtualClock } from "../virtual-clock.ts";

const run = async (addresses: readonly string[], own: readonly string[] = [], fraction = 0.5) => {
  const clock = new VirtualClock();
  const heard: { atMs: number; peer: PeerHint }[] = [];
  const discovery = staticPeers(addresses);
  const context = {
    ...contextFor(announcement({ addresses: own }), new Map()),
    clock,
    random: { bytes: (count: number) => new Uint8Array(count), fraction: () => fraction },
  };
  await discovery.start(context, {
    found: (peer) => heard.push({ atMs: clock.monotonicMs(), peer }),
    lost: () => expect.unreachable(),
    problem: () => expect.unreachable(),
  });
  return { clock, heard, discovery };
};

describe("static peers", () => {
  it("says every address at start, once each, with the default scheme added", async () => {
    const { heard } = await run(["a:1", "zmq://a:1", "tcp://b:2", "unix:///c"]);
    expect(heard.map(({ peer }) => peer)).toEqual([
      { addresses: ["zmq://a:1"], source: "static" },
      { addresses: ["tcp://b:2"], source: "static" },
      { addresses: ["unix:///c"], source: "static" },
    ]);
  });

  it("says them again with pauses that double up to 30 s, for ever", async () => {
    const { clock, heard } = await run(["a:1"]);
    clock.advance(150_000);
    const times = heard.map(({ atMs }) => atMs);
    const pauses = times.slice(1).map((atMs, index) => atMs - (times[index] ?? 0));
    expect(pauses).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    clock.advance(3_600_000);
    expect(heard.length).toBe(times.length + 120);
  });

  it.each([
    [0, 375],
    [0.999_999, 624],
  ])(
    "spreads a pause by a quarter either way: fraction %s gives %s ms",
    async (fraction, pauseMs) => {
      const { clock, heard } = await run(["a:1"], [], fraction);
      clock.advance(624.999_9);
      expect(Math.floor(heard[1]?.atMs ?? 0)).toBe(pauseMs);
    },
  );

  it("leaves out the node's own address", async () => {
    const { heard } = await run(["127.0.0.1:7400", "127.0.0.1:7401"], ["zmq://127.0.0.1:7400"]);
    expect(heard.map(({ peer }) => peer.addresses)).toEqual([["zmq://127.0.0.1:7401"]]);
  });

  it("is silent and holds no timer after stop, also when stopped twice", async () => {
    const { clock, heard, discovery } = await run(["a:1"]);
    await discovery.stop();
    await discovery.stop();
    clock.advance(60_000);
    expect([heard.length, clock.timerCount]).toEqual([1, 0]);
  });

  it("goes on although the receiver threw", async () => {
    const clock = new VirtualClock();
    const context = { ...contextFor(announcement(), new Map()), clock };
    let calls = 0;
    const discovery = staticPeers(["a:1"]);
    const found = (): void => {
      calls += 1;
      throw new Error("receiver");
    };
    const start = discovery.start(context, { found, lost: () => {}, problem: () => {} });
    await expect(start).rejects.toThrow("receiver");
    expect(() => clock.advance(1_000)).toThrow("receiver");
    expect(calls).toBe(2);
    expect(clock.timerCount).toBe(1);
  });

  it("names every wrong address in one error", () => {
    try {
      staticPeers(["a:1", "nonsense", "b:0", 7 as unknown as string]);
      expect.unreachable();
    } catch (error) {
      expect(MeshError.is(error, "INVALID_OPTIONS")).toBe(true);
      expect((error as MeshError).details.wrong).toEqual(['"nonsense"', '"b:0"', "number"]);
      expect((error as MeshError).message).toContain('"nonsense", "b:0", number');
    }
  });

  it("refuses more than 1,024 addresses, naming the bound", () => {
    const many = Array.from({ length: 1_025 }, (_, index) => `h${index}:1`);
    expect(() => staticPeers(many)).toThrow("1025 addresses exceed the bound of 1024");
    expect(() => staticPeers(many.slice(1))).not.toThrow();
  });
});
