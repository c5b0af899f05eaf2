/** Nodes with keys in this process, over loopback, and thieves that have some. */
import { staticPeers } from "../../src/discovery/static/static-peers.ts";
import { createNode } from "../../src/mesh/create-node.ts";
import type { MeshNode } from "../../src/mesh/mesh-node.ts";
import { systemClock } from "../../src/mesh/system-ports.ts";
import type { PeerLimitOptions } from "../../src/options/node-options.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { Discovery } from "../../src/ports/discovery.ts";
import type { Security } from "../../src/ports/security.ts";
import type { Connection, Transport } from "../../src/ports/transport.ts";
import { loadSecurity } from "../../src/security/load-security.ts";
import type { RightsOptions } from "../../src/security/rights.ts";
import { stream } from "../../src/transport/stream/stream-transport.ts";
import { zeromq } from "../../src/transport/zeromq/zeromq-transport.ts";
import { decodeFrame, type Frame } from "../../src/wire/frames.ts";
import { until } from "../integration/until.ts";
import { hostile } from "../mesh/hostile-security.ts";
import { KeysWorld } from "../security/keys-world.ts";

export const ALL: RightsOptions = {
  allow: { publish: [">"], subscribe: [">"], send: [">"], handle: [">"], request: [">"] },
};
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const CREATE = { tcp: stream, zmq: zeromq } as const;
export type Scheme = keyof typeof CREATE;

export class SecuredRig {
  readonly keys: KeysWorld = new KeysWorld("shop");
  readonly #nodes: MeshNode[] = [];
  readonly #transports: Transport[] = [];

  security(service: string, rights: RightsOptions = ALL): Security {
    return this.keys.node({ service, ...rights });
  }

  /** Those of a folder that was issued before. */
  load(folder: string): Security {
    return loadSecurity(folder);
  }

  async node(
    service: string,
    scheme: Scheme,
    {
      security = this.security(service),
      peers = [] as readonly MeshNode[],
      dials = [] as readonly string[],
      peerLimits = {} as PeerLimitOptions,
      discovery = [] as readonly Discovery[],
      clock = undefined as Clock | undefined,
    } = {},
  ): Promise<MeshNode> {
    const addresses = [...peers.flatMap((peer) => peer.addresses), ...dials];
    const node = await createNode({
      service,
      mesh: "shop",
      dataDir: ":memory:",
      security,
      peerLimits,
      transports: [CREATE[scheme]()],
      discovery: addresses.length === 0 ? discovery : [...discovery, staticPeers(addresses)],
      ...(clock === undefined ? {} : { clock }),
      heartbeatThread: false,
      logger: silent,
    });
    this.#nodes.push(node);
    for (const peer of peers) {
      await node.waitFor(peer.service);
      await peer.waitFor(service);
    }
    return node;
  }

  /** A member that believes it may do everything. */
  rogue(service: string, rights: RightsOptions, scheme: Scheme, peers: readonly MeshNode[]) {
    return this.node(service, scheme, { security: hostile(this.security(service, rights)), peers });
  }

  /** A transport in a thief's hands: his keys, and frames by hand. */
  async transport(scheme: Scheme, security: Security): Promise<Transport> {
    const transport = CREATE[scheme]();
    await transport.start({
      clock: systemClock(),
      logger: silent,
      frameBytesMax: 1 << 20,
      count: () => {},
      security,
    });
    this.#transports.push(transport);
    return transport;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#transports.map((one) => one.stop()));
    await Promise.all(this.#nodes.map((node) => node.stop({ drainMs: 0 })));
    this.keys[Symbol.dispose]();
  }
}

/** What comes over a connection, as frames. */
export class Wire {
  readonly connection: Connection;
  readonly frames: { readonly frame: Frame; readonly bytes: Uint8Array }[] = [];
  isClosed = false;

  constructor(connection: Connection) {
    this.connection = connection;
    connection.open({
      frame: (bytes) =>
        void this.frames.push({ frame: decodeFrame(bytes), bytes: Uint8Array.from(bytes) }),
      drained: () => {},
      closed: () => {
        this.isClosed = true;
      },
    });
  }

  find<Type extends Frame["type"]>(type: Type): Extract<Frame, { type: Type }> | undefined {
    return this.frames.find(({ frame }) => frame.type === type)?.frame as never;
  }

  bytesOf(type: Frame["type"]): Uint8Array {
    const found = this.frames.find(({ frame }) => frame.type === type);
    if (found === undefined) throw new Error(`no ${type} came`);
    return found.bytes;
  }

  /** Waits for a frame, or the end. */
  async until(type: Frame["type"]): Promise<void> {
    const heard = (): boolean => this.isClosed || this.find(type) !== undefined;
    await until(`a ${type}, or the end`, heard, () =>
      this.frames.map((one) => one.frame.type).join(),
    );
  }
}
