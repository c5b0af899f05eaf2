/** What the parts of one test mesh share. */
import { Facts } from "./facts.ts";
import { isFragile } from "./frame-name.ts";
import { SeededRandom } from "./seeded-random.ts";
import type { ResolvedMeshOptions } from "./test-mesh-options.ts";
import { Trace } from "./trace.ts";
import { DiscoveryHub } from "./virtual-discovery.ts";
import { HeartbeatAir } from "./virtual-heartbeat.ts";
import { VirtualNetwork } from "./virtual-network.ts";
import { VirtualTime } from "./virtual-time.ts";

export type TestWorld = {
  readonly time: VirtualTime;
  readonly network: VirtualNetwork;
  readonly discovery: DiscoveryHub;
  readonly heartbeats: HeartbeatAir;
  readonly random: SeededRandom;
  readonly facts: Facts;
  readonly trace: Trace;
  /** Wall milliseconds at the start. */
  readonly startMs: number;
  /** Members or links change. */
  changed(what: string): void;
};

export const createTestWorld = (options: ResolvedMeshOptions): TestWorld => {
  const { seed, startMs, trace: keepsLines } = options;
  const random = new SeededRandom(seed, "test mesh");
  let nowMs = (): number => 0;
  const facts = new Facts(() => nowMs());
  const trace = new Trace(keepsLines, () => nowMs());
  const time = new VirtualTime(
    (error) => {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      facts.found("threw", text);
      trace.note(`threw ${text.split("\n")[0]}`);
    },
    { traps: false },
  );
  nowMs = () => time.nowMs;
  const fault = (name: string): void => trace.note(`fault ${name}`);
  const network = new VirtualNetwork(time, random.fork("network"), {
    fragile: isFragile,
    fault,
    arrived: (from, to, frame) => trace.frame(from, to, frame),
  });
  const discovery = new DiscoveryHub(time, random.fork("discovery"), fault);
  const changed = (what: string): void => {
    facts.history.changesMs.push(time.nowMs);
    trace.note(what);
  };
  const heartbeats = new HeartbeatAir(network, random.fork("heartbeats"));
  return { time, network, discovery, heartbeats, random, facts, trace, startMs, changed };
};
