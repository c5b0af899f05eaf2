/** Simulated heartbeats, each in a simulated process of its own. */
import { randomBytes } from "node:crypto";
import { NODE_ID_RANDOM_BYTES, nodeIdFrom } from "../../src/core/ids.ts";
import type { Heartbeat, HeartbeatPeer } from "../../src/ports/heartbeat.ts";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { HeartbeatAir } from "../../src/testing/virtual-heartbeat.ts";
import { VirtualNetwork } from "../../src/testing/virtual-network.ts";
import { VirtualProcess } from "../../src/testing/virtual-process.ts";
import { VirtualTime } from "../../src/testing/virtual-time.ts";
import type { Look, Rig, RigNode } from "./heartbeat-contract.ts";

const LIMIT_MS = 60_000;
const STEP_MS = 5;

export class VirtualRig implements Rig {
  readonly intervalMs = 50;
  readonly #time = new VirtualTime((error) => {
    throw error;
  });
  readonly #network = new VirtualNetwork(this.#time, new SeededRandom(1), {
    fragile: () => false,
    fault: () => {},
    arrived: () => {},
  });
  readonly #air = new HeartbeatAir(this.#network, new SeededRandom(2));
  readonly #change: (heartbeat: Heartbeat) => Heartbeat;
  #nodes = 0;

  /** `change` makes another heartbeat of each, as a mutant would be. */
  constructor(change = (heartbeat: Heartbeat): Heartbeat => heartbeat) {
    this.#change = change;
  }

  async start(): Promise<RigNode> {
    const nodeId = nodeIdFrom(randomBytes(NODE_ID_RANDOM_BYTES));
    const host = `h${this.#nodes++}`;
    const process = new VirtualProcess(host, this.#time, { wallMs: 0, rate: 1 });
    const heartbeat = this.#change(this.#air.join(host, process));
    const nonce = randomBytes(16);
    const { clock } = process;
    const address = await heartbeat.start(
      { nodeId, nonce, listen: { host, port: 0 } },
      { clock, intervalMs: this.intervalMs, peersMax: 4, count: () => {}, failed: () => {} },
    );
    return this.#node(process, heartbeat, { nodeId, nonce, address });
  }

  async until(what: string, condition: () => Promise<boolean>): Promise<void> {
    const endMs = this.#time.nowMs + LIMIT_MS;
    while (!(await condition())) {
      if (this.#time.nowMs > endMs) throw new Error(`not within ${LIMIT_MS} ms: ${what}`);
      await this.#time.run({ untilMs: this.#time.nowMs + STEP_MS });
    }
  }

  async end(): Promise<void> {}

  #node(process: VirtualProcess, heartbeat: Heartbeat, peer: HeartbeatPeer): RigNode {
    const time = this.#time;
    return {
      peer,
      watch: async (other) => heartbeat.watch(other),
      unwatch: async (nodeId) => heartbeat.unwatch(nodeId),
      attend: async (nodeId, closely) => heartbeat.attend(nodeId, closely),
      look: async (nodeId): Promise<Look> => {
        const pulse = heartbeat.pulse(nodeId);
        const heardMs = pulse === undefined ? -1 : process.clock.monotonicMs() - pulse.silentMs;
        return { pulse, heardMs, answeredSentMs: heartbeat.answeredSentMs() };
      },
      block: async (ms) => {
        process.block();
        let over = false;
        time.after(ms, () => {
          process.unblock();
          over = true;
        });
        await this.until("the block is over", async () => over);
      },
      pause: async () => process.pause(),
      resume: async () => process.resume(),
      kill: async () => {
        process.kill();
        this.#network.died(process.name, false);
      },
      stop: () => heartbeat.stop(),
    };
  }
}
