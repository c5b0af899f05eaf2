/** Whole nodes in simulated processes, on quiet paths: what happens is told to the millisecond. */
import type { MeshNode } from "../../src/mesh/mesh-node.ts";
import type { NodeOptions } from "../../src/options/node-options.ts";
import type { Logger } from "../../src/ports/logger.ts";
import type { StatusChange } from "../../src/runtime/environment.ts";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { DiscoveryHub } from "../../src/testing/virtual-discovery.ts";
import { VirtualDisk } from "../../src/testing/virtual-disk.ts";
import { HeartbeatAir } from "../../src/testing/virtual-heartbeat.ts";
import { VirtualNetwork } from "../../src/testing/virtual-network.ts";
import { startVirtualNode } from "../../src/testing/virtual-node.ts";
import { VirtualProcess } from "../../src/testing/virtual-process.ts";
import { VirtualTime } from "../../src/testing/virtual-time.ts";

const SILENT: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const HEARTBEAT_MS = 250;

export type Life = {
  readonly host: string;
  readonly process: VirtualProcess;
  readonly node: MeshNode;
  /** What it said of its peers, with the time: "peer-dead b". */
  readonly said: { readonly atMs: number; readonly what: string }[];
};

export class ProcessMesh {
  readonly time = new VirtualTime((error) => {
    throw error;
  });
  readonly random = new SeededRandom(1);
  readonly network = new VirtualNetwork(this.time, this.random.fork("network"), {
    fragile: () => false,
    fault: () => {},
    arrived: () => {},
  });
  readonly discovery = new DiscoveryHub(this.time, this.random.fork("discovery"), () => {});
  readonly air = new HeartbeatAir(this.network, this.random.fork("air"));
  readonly lives: Life[] = [];
  readonly #disks = new Map<string, VirtualDisk>();

  /** Another life of the host, if it had one: on the same disk. */
  async start(
    host: string,
    options: Partial<NodeOptions> & { isOld?: boolean } = {},
  ): Promise<Life> {
    const { isOld = false, ...given } = options;
    const process = new VirtualProcess(host, this.time, { wallMs: 1_800_000_000_000, rate: 1 });
    const disk =
      this.#disks.get(host) ??
      new VirtualDisk(this.time, this.random.fork(host), { fault: () => {}, durable: () => {} });
    this.#disks.set(host, disk);
    this.network.up(host);
    const { network, discovery } = this;
    const heartbeats = isOld ? undefined : this.air;
    const parts = { host, process, disk, network, discovery, heartbeats };
    const node = await this.wait(
      startVirtualNode(
        { service: host, ...given },
        { ...parts, random: this.random.fork(`${host} node`), logger: SILENT },
      ),
    );
    const life: Life = { host, process, node, said: [] };
    this.lives.push(life);
    void this.#listen(life);
    return life;
  }

  /** SIGKILL, or the power goes. */
  kill(life: Life, powerLoss: boolean): void {
    life.process.kill();
    this.#disks.get(life.host)?.crash();
    this.network.died(life.host, powerLoss);
  }

  async wait<T>(promise: Promise<T>): Promise<T> {
    let over = false;
    const end = (): void => {
      over = true;
    };
    promise.then(end, end);
    await this.until(() => over);
    return promise;
  }

  async until(done: () => boolean): Promise<void> {
    const endMs = this.time.nowMs + 120_000;
    await this.time.run({ untilMs: endMs, done });
    if (!done()) throw new Error(`not within 120 s: ${done}`);
  }

  pass(ms: number): Promise<void> {
    return this.time.run({ untilMs: this.time.nowMs + ms });
  }

  async linked(): Promise<void> {
    await this.until(() =>
      this.lives.every(({ node }) => {
        return (
          node.peers().filter(({ state }) => state === "alive").length === this.lives.length - 1
        );
      }),
    );
    await this.pass(2 * HEARTBEAT_MS); // every heartbeat was heard
  }

  async #listen({ node, said }: Life): Promise<void> {
    for await (const change of node.status()) {
      if (isOfPeer(change))
        said.push({ atMs: this.time.nowMs, what: `${change.type} ${change.service}` });
    }
  }
}

const isOfPeer = (change: StatusChange): change is StatusChange & { readonly service: string } =>
  change.type.startsWith("peer-") && change.type !== "peer-up";

export const stateOf = (life: Life, of: Life): string | undefined =>
  life.node.peers().find(({ nodeId }) => nodeId === of.node.id)?.state;
