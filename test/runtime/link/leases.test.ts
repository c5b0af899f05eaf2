/** What becomes of a peer without a link, with heartbeats as the test says. */
import { beforeEach, describe, expect, it } from "vitest";
import { HybridClock, MAX_AHEAD_MS } from "../../../src/core/hybrid-clock.ts";
import { PIECE_SIZES } from "../../../src/core/piece-sender.ts";
import { systemRandom, xxh32 } from "../../../src/mesh/system-ports.ts";
import { resolveOptions } from "../../../src/options.ts";
import type { Heartbeat, Pulse } from "../../../src/ports/heartbeat.ts";
import { Counters } from "../../../src/runtime/counters.ts";
import type { Environment } from "../../../src/runtime/environment.ts";
import { LargeCopies } from "../../../src/runtime/link/large-copies.ts";
import { Leases } from "../../../src/runtime/link/leases.ts";
import { Liveness } from "../../../src/runtime/link/liveness.ts";
import type { Peer } from "../../../src/runtime/link/peer.ts";
import { VirtualClock } from "../../mesh/virtual-clock.ts";

let clock: VirtualClock;
let pulse: Pulse | undefined;
let said: string[];
let watched: Set<string>;
let leases: Leases;
let liveness: Liveness;
let peer: Peer;
let warnings: string[];
let attended: [nodeId: string, closely: boolean][];

const heartbeat: Heartbeat = {
  start: async () => "",
  watch: ({ nodeId }) => void watched.add(nodeId),
  unwatch: (nodeId) => void watched.delete(nodeId),
  attend: (nodeId, closely) => void attended.push([nodeId, closely]),
  pulse: () => pulse,
  answeredSentMs: () => 7,
  stop: async () => {},
};

const environment = async (): Promise<Environment> => {
  const options = resolveOptions({ service: "s" });
  const quiet = (): void => {};
  return {
    clock,
    random: systemRandom(),
    hash: await xxh32(),
    logger: { debug: quiet, info: quiet, error: quiet, warn: (message) => warnings.push(message) },
    counters: new Counters(),
    hybrid: new HybridClock(MAX_AHEAD_MS),
    limits: options.limits,
    peerLimits: options.peerLimits,
    pieces: PIECE_SIZES,
    copies: new LargeCopies(clock),
    times: options,
    report: ({ type }) => void said.push(type),
  };
};

beforeEach(async () => {
  clock = new VirtualClock();
  pulse = undefined;
  said = [];
  warnings = [];
  attended = [];
  watched = new Set(["p"]);
  const env = await environment();
  liveness = new Liveness(env, heartbeat);
  leases = new Leases(env, liveness, () => said.push("dead"));
  peer = {
    nodeId: "p",
    service: "s",
    epoch: 1,
    nonce: new Uint8Array(16),
    addresses: [],
    link: undefined,
    state: "alive",
    timer: undefined,
  };
});

const TURNS = { silentMs: 50, lagMs: 0 };
const BLOCKED = { silentMs: 50, lagMs: 5_000 };

describe("a peer that lost its link", () => {
  it("is dead when its lease has run out, and watched no more", async () => {
    leases.arm(peer);
    await clock.advance(1_099);
    expect([peer.state, said]).toEqual(["lost", []]);
    await clock.advance(1);
    expect([peer.state, said]).toEqual(["dead", ["dead", "peer-dead"]]);
    expect([...watched]).toEqual([]);
  });

  it("is dead although its heartbeat is heard, as long as its loop turns: it could have come back", async () => {
    pulse = TURNS;
    leases.arm(peer);
    await clock.advance(1_100);
    expect(peer.state).toBe("dead");
  });

  it("is stalled while its loop is blocked, and dead at once when its heartbeat falls silent", async () => {
    pulse = BLOCKED;
    leases.arm(peer);
    await clock.advance(30_000);
    expect([peer.state, said]).toEqual(["stalled", ["peer-stalled"]]);
    pulse = { silentMs: 1_101, lagMs: 5_000 };
    await clock.advance(250);
    expect(peer.state).toBe("dead");
  });

  it("has another lease to come back in when its loop turns again", async () => {
    pulse = BLOCKED;
    leases.arm(peer);
    await clock.advance(5_000);
    pulse = TURNS;
    await clock.advance(250);
    expect([peer.state, said]).toEqual(["lost", ["peer-stalled", "peer-resumed"]]);
    await clock.advance(900);
    expect(peer.state).toBe("lost");
    await clock.advance(100);
    expect(peer.state).toBe("dead");
  });

  it("is dead when its loop has been blocked for stalledMaxMs", async () => {
    pulse = BLOCKED;
    leases.arm(peer);
    await clock.advance(5_000);
    pulse = { silentMs: 50, lagMs: 60_000 };
    await clock.advance(250);
    expect(peer.state).toBe("dead");
  });

  it("has a part of a heartbeat more when this process itself stood still: its return may wait to be read", async () => {
    leases.arm(peer);
    clock.stall(60_000);
    await clock.settle();
    expect(peer.state).toBe("lost");
    await clock.advance(49);
    expect(peer.state).toBe("lost");
    clock.stall(60_000); // and no more than that
    await clock.advance(1);
    expect(peer.state).toBe("dead");
  });
});

describe("liveness", () => {
  it("does not call a linked peer stalled that is silent in every way, unless it was before", () => {
    pulse = { silentMs: 2_000, lagMs: 5_000 };
    expect(liveness.judgeLinked("p", 7_000, false)).toBe("unknown");
    expect(liveness.judgeLinked("p", 7_000, true)).toBe("stalled");
    pulse = { silentMs: 3_001, lagMs: 5_000 }; // a silence later it is like any other
    expect(liveness.judgeLinked("p", 7_000, true)).toBe("unknown");
  });

  it("asks a peer closely that begins to be silent on its link, has no link or lives anew, others seldom", () => {
    expect(liveness.attend("p", 0)).toBeUndefined();
    expect(liveness.attend("p", 300)).toBeUndefined();
    expect(liveness.attend("p", 301)).toBe(75); // then a beat and a half is over
    expect(liveness.attend("p", 551)).toBeUndefined();
    liveness.attend("p", 10);
    expect(liveness.attend("p", 500)).toBe(50);
    liveness.attend("p", 10);
    leases.arm(peer);
    const told = [false, true, false, true, false, true];
    expect(attended).toEqual(told.map((closely) => ["p", closely]));
    liveness.attend("p", 10);
    liveness.watch({ nodeId: "p", nonce: new Uint8Array(16), heartbeat: "udp://127.0.0.1:1" });
    liveness.attend("p", 10); // closely from `watch` on
    expect(attended.slice(told.length)).toEqual([
      ["p", false],
      ["p", false],
    ]);
  });

  it("goes without a heartbeat that cannot start, and says so", async () => {
    const env = await environment();
    const broken = { ...heartbeat, start: () => Promise.reject(new Error("no threads here")) };
    const without = new Liveness(env, broken);
    const self = { nodeId: "s", nonce: new Uint8Array(16), listen: { host: "h", port: 0 } };
    pulse = BLOCKED;
    expect(await without.start(self)).toBe("");
    expect(without.judge("p")).toBe("unknown");
    expect(without.answeredSentMs()).toBe(Number.NEGATIVE_INFINITY);
    expect(env.counters.get("heartbeat.failed")).toBe(1);
    expect(warnings).toHaveLength(1);
    await without.stop();
  });

  it("does not watch a peer that has no heartbeat, whose earlier life had one", () => {
    const identity = { nodeId: "p", nonce: new Uint8Array(16), heartbeat: "" };
    liveness.watch({ ...identity, heartbeat: "udp://127.0.0.1:1" });
    expect([...watched]).toEqual(["p"]);
    liveness.watch(identity);
    expect([...watched]).toEqual([]);
    expect(liveness.answeredSentMs()).toBe(7);
  });
});
