/**
 * One life of mDNS discovery, from start to stop: interfaces, timer, and what is done with packets.
 *
 * Approach: a station for each interface, one cache for all, one timer armed for whatever is due next.
 * Interfaces are looked at again every few seconds, because the library does not notice new ones; a
 * station that failed is closed and opened anew at that look, so that multicast that comes back is
 * used within one look.
 *
 * Invariants: nothing throws out of here; after `stop` no event, timer or socket is left; work for each
 * packet is bounded by the gate, the cache limits and the number of interfaces.
 */
import { networkInterfaces } from "node:os";
import type { Timer } from "../../ports/clock.ts";
import type { DiscoveryContext, DiscoveryEvents } from "../../ports/discovery.ts";
import type { DnsMessage } from "./dns-record.ts";
import { HeardPeers } from "./heard-peers.ts";
import { LinkStation } from "./link-station.ts";
import type { ResolvedMdnsOptions } from "./mdns-options.ts";
import type { InterfaceTable, MulticastInterface } from "./multicast-interface.ts";
import { chooseInterfaces, hostAddresses, isOnLink } from "./multicast-interface.ts";
import type { Sender } from "./multicast-link.ts";
import { MulticastLink } from "./multicast-link.ts";
import { PacketGate } from "./packet-gate.ts";
import { parsePeerRecords, usableAddresses } from "./peer-records.ts";
import { ProblemReports } from "./problem-reports.ts";
import type { SealedEar } from "./sealed-ear.ts";
import { type MeshNames, openNames } from "./service-names.ts";
import type { ServiceRecords } from "./service-records.ts";
import { buildServiceRecords } from "./service-records.ts";

/** Longest wait for the system to take the goodbyes. */
const GOODBYE_MS = 250;

export class MdnsSession {
  readonly #options: ResolvedMdnsOptions;
  readonly #context: DiscoveryContext;
  readonly #problems: ProblemReports;
  #gate: PacketGate;
  readonly #peers: HeardPeers;
  readonly #stations = new Map<string, LinkStation>();
  #hostAddresses = new Set<string>();
  #lookAtMs: number;
  /** Of a node with keys: what is not sealed is not believed. */
  #ear: SealedEar | undefined;
  #saidSealed = false;
  #timer: { readonly timer: Timer; readonly dueMs: number } | undefined;
  #stopped = false;

  constructor(
    options: ResolvedMdnsOptions,
    context: DiscoveryContext,
    events: DiscoveryEvents,
    source: string,
  ) {
    this.#options = options;
    this.#context = context;
    this.#peers = new HeardPeers(context, events, source, () =>
      [...this.#stations.values()].flatMap((station) => station.addresses),
    );
    this.#problems = new ProblemReports((problem) => events.problem(problem));
    this.#gate = new PacketGate(context.self.nodeId);
    this.#lookAtMs = this.#nowMs();
  }

  /** Before `start`, with keys: says and believes only what has the mesh's seal. */
  useSeal(ear: SealedEar): void {
    this.#ear = ear;
    // Queries that hold neither our type nor our host are no business of ours.
    this.#gate = new PacketGate(ear.seal.names.label(this.#context.self.nodeId));
  }

  /** Opens the interfaces and does what is due; arms the timer. */
  start(): void {
    this.#tick();
  }

  /** Goodbye on every interface, then everything is closed. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#peers.stop();
    const { clock } = this.#context;
    if (this.#timer !== undefined) clock.clearTimer(this.#timer.timer);
    const stations = [...this.#stations.values()];
    this.#stations.clear();
    let patience: Timer | undefined;
    const impatient = new Promise<void>((resolve) => {
      patience = clock.setTimer(GOODBYE_MS, resolve);
    });
    await Promise.race([Promise.all(stations.map((station) => station.goodbye())), impatient]);
    if (patience !== undefined) clock.clearTimer(patience);
    await Promise.all(stations.map((station) => station.link.close()));
  }

  #nowMs(): number {
    return this.#context.clock.monotonicMs();
  }

  #tick(): void {
    if (this.#stopped) return;
    const nowMs = this.#nowMs();
    if (this.#lookAtMs <= nowMs) {
      this.#lookAtMs = nowMs + this.#options.interfacePollMs;
      this.#lookAtInterfaces(nowMs);
    }
    this.#peers.expire(nowMs);
    const old = this.#peers.cache.takeRefreshes(nowMs);
    for (const [address, station] of this.#stations) {
      if (old.has(address)) station.refresh();
      const fraction = this.#context.random.fraction();
      station.tick(nowMs, fraction, () => this.#peers.cache.known(address, nowMs));
    }
    this.#arm();
  }

  #arm(): void {
    if (this.#stopped) return;
    let dueMs = Math.min(this.#lookAtMs, this.#peers.cache.nextDueMs());
    for (const station of this.#stations.values()) dueMs = Math.min(dueMs, station.dueMs);
    if (this.#timer !== undefined) {
      if (this.#timer.dueMs === dueMs) return;
      this.#context.clock.clearTimer(this.#timer.timer);
    }
    // Rounded up: a timer that fires a fraction early would only be armed again.
    const delayMs = Math.max(1, Math.ceil(dueMs - this.#nowMs()));
    const timer = this.#context.clock.setTimer(delayMs, () => {
      this.#timer = undefined;
      this.#tick();
    });
    this.#timer = { timer, dueMs };
  }

  #lookAtInterfaces(nowMs: number): void {
    const { interface: only } = this.#options;
    const { loopbackOnly } = this.#context.self;
    let chosen: MulticastInterface[] = [];
    try {
      const table = networkInterfaces() as InterfaceTable;
      this.#hostAddresses = hostAddresses(table);
      chosen = chooseInterfaces(table, loopbackOnly, only);
    } catch (error) {
      this.#problems.network("this host", error, nowMs);
    }
    if (chosen.length === 0) {
      const where = loopbackOnly ? "loopback" : (only ?? "this host");
      this.#problems.network(where, "no interface with an IPv4 address", nowMs);
    }
    for (const [address, station] of this.#stations) {
      const same = chosen.some((each) => each.address === address);
      if (same && !station.broken) continue;
      this.#stations.delete(address);
      void station.link.close();
    }
    const names = this.#names();
    for (const each of chosen) {
      const station = this.#stations.get(each.address);
      if (station === undefined) this.#open(each, nowMs);
      else if (station.names !== names && this.#ear !== undefined) {
        // The mesh's secret has changed.
        this.useSeal(this.#ear);
        station.rename({ names, records: this.#records(each, nowMs) }, nowMs);
      }
    }
  }

  #names(): MeshNames {
    return this.#ear?.seal.names ?? openNames(this.#context.self.mesh);
  }

  #open(from: MulticastInterface, nowMs: number): void {
    const where = `${from.name} (${from.address})`;
    let station: LinkStation | undefined;
    try {
      const link = new MulticastLink(from, this.#options.port, {
        admit: (packet, sender) => this.#admit(packet, sender, from),
        message: (message, sender) => {
          if (station !== undefined) this.#message(station, message, sender);
        },
        malformed: () => this.#context.count("discovery.malformed"),
        failed: (error) => {
          if (this.#stopped) return;
          if (station !== undefined) station.broken = true;
          this.#problems.network(where, error, this.#nowMs());
        },
      });
      const saying = { names: this.#names(), records: this.#records(from, nowMs) };
      const seal = this.#ear?.seal;
      const wallMs = (): number => this.#context.clock.wallMs();
      station =
        seal === undefined
          ? new LinkStation(link, saying, nowMs)
          : new LinkStation(link, saying, nowMs, (body, isGoodbye) =>
              seal.seal(body, isGoodbye, wallMs()),
            );
      this.#stations.set(from.address, station);
    } catch (error) {
      this.#problems.network(where, error, nowMs);
    }
  }

  #records(from: MulticastInterface, nowMs: number): ServiceRecords | undefined {
    const { self } = this.#context;
    // A node that listens nowhere has nothing to announce; it still looks for others.
    if (self.addresses.length === 0) return undefined;
    const { ttlMs } = this.#options;
    const seal = this.#ear?.seal;
    const sealed = seal && {
      names: seal.names,
      text: (addresses: readonly string[]) => seal.body(self, addresses, from.address, ttlMs),
    };
    const built = buildServiceRecords(self, from.address, ttlMs, sealed);
    if ("refused" in built) {
      this.#problems.configuration(`cannot be announced: ${built.refused}`, nowMs);
      return undefined;
    }
    if (built.omitted > 0) {
      const all = self.addresses.length;
      this.#problems.configuration(`${built.omitted} of ${all} addresses do not fit`, nowMs);
    }
    return built;
  }

  #isLocal(address: string): boolean {
    return this.#hostAddresses.has(address) || address.startsWith("127.");
  }

  #admit(packet: Buffer, sender: Sender, from: MulticastInterface): boolean {
    if (this.#stopped || !isOnLink(sender.address, from)) return false;
    const local = this.#isLocal(sender.address);
    if (this.#ear !== undefined && isResponse(packet)) {
      this.#hear(this.#ear, packet, sender, from);
      return false;
    }
    const verdict = this.#gate.judge(packet, sender.address, local, this.#nowMs());
    if (verdict === "malformed") this.#context.count("discovery.malformed");
    if (verdict === "limited") this.#context.count("discovery.limited");
    return verdict === "pass";
  }

  #message(station: LinkStation, message: DnsMessage, sender: Sender): void {
    if (this.#stopped) return;
    const nowMs = this.#nowMs();
    const local = this.#isLocal(sender.address);
    const via = station.link.interface.address;
    if (message.kind === "query") {
      const circumstances = {
        nowMs,
        fraction: this.#context.random.fraction(),
        crowded: this.#peers.isCrowded,
        legacy: sender.port !== this.#options.port,
        local,
      };
      station.query(message, sender, circumstances, this.#peers.cache.known(via, nowMs));
    } else if (sender.port !== this.#options.port) {
      // Responses come from the mDNS port or must be ignored (RFC 6762 section 6).
      this.#context.count("discovery.malformed");
    } else {
      const parsed = parsePeerRecords(message, local);
      if (parsed.sealed > 0) this.#heardSealed(parsed.sealed);
      for (let n = 0; n < parsed.malformed; n += 1) this.#context.count("discovery.malformed");
      const origin = { source: sender.address, via, local };
      for (const record of parsed.alive) this.#peers.alive(record, origin, nowMs);
      for (const said of parsed.goodbyes) {
        const mend = this.#peers.goodbye(said, sender.address);
        if (mend !== undefined) station.contradict(nowMs);
      }
    }
    this.#tick();
  }

  /** An answer, with keys: it is not decoded. */
  #hear(ear: SealedEar, packet: Buffer, sender: Sender, from: MulticastInterface): void {
    const local = this.#isLocal(sender.address);
    if (sender.port !== this.#options.port) {
      this.#context.count("discovery.malformed");
      return;
    }
    const statement = ear.hear(packet, sender.address, local);
    if (statement === undefined) return;
    const { nodeId, epoch, at } = statement;
    const nowMs = this.#nowMs();
    const station = this.#stations.get(from.address);
    const { mesh } = this.#context.self;
    if (statement.isGoodbye) {
      // From whom it came says nothing, who may say it is in the seal.
      const mend = this.#peers.goodbye({ nodeId, epoch, mesh }, at);
      if (mend !== undefined) station?.contradict(nowMs);
    } else {
      const addresses = usableAddresses(statement.addresses, local) ?? [];
      const record = { nodeId, epoch, mesh, addresses, ttlMs: ear.lifeMs(statement) };
      const origin = { source: at, via: from.address, local: true };
      if (addresses.length > 0 && this.#peers.alive(record, origin, nowMs)) {
        const fraction = this.#context.random.fraction();
        station?.welcome({ nowMs, fraction, crowded: this.#peers.isCrowded });
      }
    }
    this.#tick();
  }

  #heardSealed(count: number): void {
    for (let n = 0; n < count; n += 1) this.#context.count("discovery.withKeys");
    if (this.#saidSealed) return;
    this.#saidSealed = true;
    this.#context.logger.warn(
      "nodes with keys announce themselves here, and this node cannot hear them: give it a certificate of their mesh (meshbus keys issue)",
      {},
    );
  }
}

/** The bit that tells an answer from a query (RFC 1035 section 4.1.1). */
function isResponse(packet: Buffer): boolean {
  return packet.length > 2 && ((packet[2] ?? 0) & 0x80) !== 0;
}
