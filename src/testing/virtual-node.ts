/** One life of a node on simulated parts: the real runtime, assembled as `createNode` does. */
import { crc32 } from "node:zlib";
import type { PieceSizes } from "../core/piece-sender.ts";
import { assembleNode } from "../mesh/assemble-node.ts";
import type { MeshNode } from "../mesh/mesh-node.ts";
import type { NodeOptions } from "../options/node-options.ts";
import { resolveOptions } from "../options.ts";
import type { Logger } from "../ports/logger.ts";
import type { Random } from "../ports/random.ts";
import type { DiscoveryHub } from "./virtual-discovery.ts";
import type { VirtualDisk } from "./virtual-disk.ts";
import type { HeartbeatAir } from "./virtual-heartbeat.ts";
import type { VirtualNetwork } from "./virtual-network.ts";
import type { VirtualProcess } from "./virtual-process.ts";
import { VirtualTransport } from "./virtual-transport.ts";
import { plainXxh32 } from "./xxh32.ts";

export type VirtualParts = {
  readonly host: string;
  readonly process: VirtualProcess;
  readonly disk: VirtualDisk;
  readonly network: VirtualNetwork;
  readonly discovery: DiscoveryHub;
  /** Undefined: the node has no heartbeat, as one of an older version. */
  readonly heartbeats: HeartbeatAir | undefined;
  readonly random: Random;
  readonly logger: Logger;
  /** How large frames travel; absent: as on a real network. */
  readonly pieces?: PieceSizes | undefined;
};

/** @throws MeshError INVALID_OPTIONS, JOURNAL_LOCKED at once; rejects as `createNode` does */
export const startVirtualNode = (given: NodeOptions, parts: VirtualParts): Promise<MeshNode> => {
  const { host, process, disk, network, discovery, heartbeats, random, logger } = parts;
  const options = resolveOptions(given);
  return assembleNode({
    options,
    clock: process.clock,
    random,
    logger,
    hash: plainXxh32(),
    crc32: (bytes) => crc32(bytes),
    store: disk.open(process),
    dataDir: given.dataDir ?? host,
    transports: [new VirtualTransport(network, host, process)],
    discovery: [discovery.join(host, process)],
    heartbeat: heartbeats?.join(host, process),
    pieces: parts.pieces,
  });
};
