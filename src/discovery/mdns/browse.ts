/**
 * Who is on this network, in any mesh: asks once on each interface, and listens.
 *
 * For people and tools that ask why nodes do not see each other. Says as well which interfaces carry multicast: a
 * query of ours comes back to us where they do. What is heard is as unauthenticated as all of mDNS; nodes with keys
 * are counted, and read where the secret of their mesh is given.
 *
 * Bounds: `NODES_MAX` nodes an interface; packets pass the gate of discovery.
 */
import { randomInt } from "node:crypto";
import { networkInterfaces } from "node:os";
import { MeshError } from "../../errors.ts";
import type { DnsMessage } from "./dns-record.ts";
import { resolveMdnsOptions } from "./mdns-options.ts";
import {
  chooseInterfaces,
  hostAddresses,
  isOnLink,
  type MulticastInterface,
} from "./multicast-interface.ts";
import { MulticastLink, type Sender } from "./multicast-link.ts";
import { PacketGate } from "./packet-gate.ts";
import { type PeerRecord, parsePeerRecords, usableAddresses } from "./peer-records.ts";
import { RecordSeal } from "./record-seal.ts";
import { SERVICE_TYPE } from "./service-names.ts";
import { SEALED_VERSION } from "./service-records.ts";

export type BrowseOptions = {
  /** How long to listen, 100 to 60,000 ms; default 2,000. */
  readonly forMs?: number;
  /** As of mdns(). */
  readonly interface?: string;
  /** As of mdns(). */
  readonly port?: number;
  /** Of a mesh with keys (`loadSecurity(folder).meshSecrets`): its nodes are listed as well. */
  readonly sealed?: { readonly mesh: string; readonly secrets: readonly Uint8Array[] };
};

export type HeardNode = {
  readonly nodeId: string;
  readonly mesh: string;
  /** Absent when the node did not say. */
  readonly service?: string;
  readonly epoch: number;
  /** Those that can be dialled from here, best first. */
  readonly addresses: readonly string[];
  /** Names of the interfaces it was heard on. */
  readonly interfaces: readonly string[];
};

export type BrowsedInterface = {
  readonly name: string;
  readonly address: string;
  /** What was sent to the group came back: multicast works on this host, as far as it can tell. */
  readonly multicast: boolean;
  /** What the system said, if it said something. */
  readonly problem?: string;
};

export type Browsed = {
  readonly interfaces: readonly BrowsedInterface[];
  readonly nodes: readonly HeardNode[];
  /** Nodes with keys that were heard, of any mesh, whether they could be read or not. */
  readonly sealed: number;
};

const NODES_MAX = 1_024;
/** A query is repeated: one packet may be lost. */
const QUERIES = 3;

/**
 * Lists the nodes that multicast DNS knows of, of every mesh.
 * @throws MeshError INVALID_OPTIONS
 */
export async function browseMdns(options: BrowseOptions = {}): Promise<Browsed> {
  const { forMs = 2_000, sealed, ...rest } = options;
  if (!Number.isInteger(forMs) || forMs < 100 || forMs > 60_000) {
    const message = `browseMdns: forMs ${String(forMs)} is not an integer from 100 to 60000`;
    throw new MeshError("INVALID_OPTIONS", message);
  }
  const { interface: only, port } = resolveMdnsOptions(rest);
  const table = networkInterfaces();
  const local = hostAddresses(table);
  const seal = sealed && new RecordSeal(sealed.mesh, () => sealed.secrets);
  const opened = sealed && seal && { mesh: sealed.mesh, seal };
  const ears = chooseInterfaces(table, false, only).map(
    (each) => new Ear(each, port, local, opened),
  );
  await new Promise<void>((resolve) => {
    let asked = 0;
    const ask = (): void => {
      for (const ear of ears) ear.ask();
      if (++asked < QUERIES) return;
      clearInterval(asking);
    };
    const asking = setInterval(ask, forMs / (QUERIES + 1));
    ask();
    setTimeout(() => {
      clearInterval(asking);
      resolve();
    }, forMs);
  });
  await Promise.all(ears.map((ear) => ear.close()));
  const names = new Set(ears.flatMap((ear) => [...ear.sealed]));
  const interfaces = ears.map((ear) => ear.result);
  return { interfaces, nodes: merged(ears), sealed: names.size };
}

type OpenedMesh = { readonly mesh: string; readonly seal: RecordSeal };

/** One interface. */
class Ear {
  readonly nodes = new Map<string, PeerRecord>();
  /** Instances of nodes with keys. */
  readonly sealed = new Set<string>();
  readonly #opened: OpenedMesh | undefined;
  readonly #link: MulticastLink;
  readonly #from: MulticastInterface;
  readonly #local: ReadonlySet<string>;
  readonly #queryId = randomInt(1, 65_536);
  #heardSelf = false;
  #problem: string | undefined;
  readonly #gate = new PacketGate("");

  constructor(
    from: MulticastInterface,
    port: number,
    local: ReadonlySet<string>,
    opened: OpenedMesh | undefined,
  ) {
    this.#opened = opened;
    this.#from = from;
    this.#local = local;
    this.#link = new MulticastLink(from, port, {
      admit: (packet, sender) => this.#admit(packet, sender),
      message: (message, sender) => this.#message(message, sender),
      malformed: () => {},
      failed: (error) => {
        this.#problem ??= error.message;
      },
    });
  }

  get result(): BrowsedInterface {
    const { name, address } = this.#from;
    const found = { name, address, multicast: this.#heardSelf };
    return this.#problem === undefined ? found : { ...found, problem: this.#problem };
  }

  ask(): void {
    const questions = [{ name: SERVICE_TYPE, type: "PTR", unicast: false }];
    void this.#link.send({ kind: "query", id: this.#queryId, questions, answers: [] });
  }

  close(): Promise<void> {
    return this.#link.close();
  }

  #admit(packet: Buffer, { address }: Sender): boolean {
    if (!isOnLink(address, this.#from)) return false;
    const local = this.#local.has(address);
    this.#open(packet, local);
    return this.#gate.judge(packet, address, local, performance.now()) === "pass";
  }

  /** What a node with keys says, if its mesh's secret is at hand. */
  #open(packet: Buffer, local: boolean): void {
    const statement = this.#opened?.seal.open(packet);
    if (this.#opened === undefined || typeof statement !== "object") return;
    const { nodeId, epoch, ttlMs, isGoodbye } = statement;
    const addresses = usableAddresses(statement.addresses, local) ?? [];
    if (isGoodbye) return;
    this.#keep({ nodeId, mesh: this.#opened.mesh, epoch, addresses, ttlMs });
  }

  #keep(peer: PeerRecord): void {
    const key = `${peer.nodeId} ${peer.epoch}`;
    if (this.nodes.size < NODES_MAX || this.nodes.has(key)) this.nodes.set(key, peer);
  }

  #message(message: DnsMessage, { address }: Sender): void {
    if (message.kind === "query") {
      if (message.id === this.#queryId && address === this.#from.address) this.#heardSelf = true;
      return;
    }
    for (const peer of parsePeerRecords(message, this.#local.has(address)).alive) this.#keep(peer);
    for (const record of [...message.answers, ...message.additionals]) {
      const isSealed = record.type === "TXT" && record.data[0] === `v=${SEALED_VERSION}`;
      if (isSealed && this.sealed.size < NODES_MAX) this.sealed.add(record.name);
    }
  }
}

/** The nodes of all interfaces; one that was heard on several is named once, with the addresses of all. */
const merged = (ears: readonly Ear[]): HeardNode[] => {
  const nodes = new Map<string, HeardNode>();
  for (const ear of ears) {
    for (const [key, { nodeId, mesh, service, epoch, addresses }] of ear.nodes) {
      const before = nodes.get(key);
      nodes.set(key, {
        nodeId,
        mesh,
        ...(service === undefined ? {} : { service }),
        epoch,
        addresses: [...new Set([...(before?.addresses ?? []), ...addresses])],
        interfaces: [...(before?.interfaces ?? []), ear.result.name],
      });
    }
  }
  return [...nodes.values()].sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
};
