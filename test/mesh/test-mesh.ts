/** Nodes of one process over the memory transport, in virtual time. */
import { crc32 } from "node:zlib";
import { assembleNode } from "../../src/mesh/assemble-node.ts";
import type { MeshNode } from "../../src/mesh/mesh-node.ts";
import { systemRandom, xxh32 } from "../../src/mesh/system-ports.ts";
import type { NodeOptions } from "../../src/options/node-options.ts";
import { resolveOptions } from "../../src/options.ts";
import type { Discovery, DiscoveryEvents } from "../../src/ports/discovery.ts";
import type { Hash } from "../../src/ports/hash.ts";
import type { Heartbeat } from "../../src/ports/heartbeat.ts";
import type { LogFields, Logger } from "../../src/ports/logger.ts";
import { MemoryNetwork, memoryTransport } from "../../src/transport/memory/memory-transport.ts";
import { TestStore } from "./test-store.ts";
import { VirtualClock } from "./virtual-clock.ts";

export type LogLine = { readonly level: string; readonly message: string; fields?: LogFields };

export type TestNodeOptions = Partial<NodeOptions> & {
  store?: TestStore;
  heartbeat?: Heartbeat;
};

type Seen = { readonly nodeId: string; readonly addresses: readonly string[] };

/** A shard that nobody holds is taken after rebalanceMs. */
const OWNED_AFTER_MS = 300;

export class TestMesh {
  readonly clock = new VirtualClock();
  readonly network = new MemoryNetwork();
  readonly logs: LogLine[] = [];
  readonly nodes: MeshNode[] = [];
  readonly #seen = new Map<string, Seen>();
  readonly #listeners = new Set<{ self: string; events: DiscoveryEvents }>();
  #hash: Hash | undefined;

  /** A node on its own store, or on that of an earlier life. */
  async node(service: string, options: TestNodeOptions = {}) {
    const { store = await TestStore.open(), heartbeat, ...given } = options;
    const resolved = resolveOptions({ service, dataDir: ":memory:", ...given });
    this.#hash ??= await xxh32();
    const node = await this.clock.run(
      assembleNode({
        options: resolved,
        clock: this.clock,
        random: systemRandom(),
        logger: this.#logger(),
        hash: this.#hash,
        crc32: (bytes) => crc32(bytes),
        store,
        dataDir: ":memory:",
        transports: [memoryTransport(this.network)],
        discovery: given.discovery ?? [this.#discovery()],
        heartbeat,
      }),
    );
    this.nodes.push(node);
    return node;
  }

  /** What was subscribed so far has found its owners. */
  async owned(): Promise<void> {
    await this.clock.advance(OWNED_AFTER_MS);
  }

  /** Every node has a link with every other. */
  async linked(...nodes: readonly MeshNode[]): Promise<void> {
    const all = nodes.length === 0 ? this.nodes : nodes;
    await this.clock.until(() =>
      all.every((node) =>
        all.every(
          (other) =>
            other === node ||
            node.peers().some((p) => p.nodeId === other.id && p.state === "alive"),
        ),
      ),
    );
  }

  async stop(): Promise<void> {
    for (const node of this.nodes) await this.clock.run(node.stop({ drainMs: 0 }));
  }

  #discovery(): Discovery {
    const listeners = this.#listeners;
    const seen = this.#seen;
    let mine: { self: string; events: DiscoveryEvents } | undefined;
    return {
      name: "test",
      async start({ self }, events) {
        mine = { self: self.nodeId, events };
        const me = { nodeId: self.nodeId, addresses: self.addresses };
        for (const other of listeners) other.events.found({ ...me, source: "test" });
        for (const other of seen.values()) events.found({ ...other, source: "test" });
        listeners.add(mine);
        seen.set(self.nodeId, me);
      },
      async stop() {
        if (mine === undefined) return;
        listeners.delete(mine);
        seen.delete(mine.self);
        for (const other of listeners) other.events.lost(mine.self);
        mine = undefined;
      },
    };
  }

  #logger(): Logger {
    const add = (level: string) => (message: string, fields?: LogFields) => {
      this.logs.push(fields === undefined ? { level, message } : { level, message, fields });
    };
    return { debug: add("debug"), info: add("info"), warn: add("warn"), error: add("error") };
  }
}
