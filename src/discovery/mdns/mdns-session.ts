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
import { LinkStation } from "./link-station.ts";
import type { ResolvedMdnsOptions } from "./mdns-options.ts";
import type { InterfaceTable, MulticastInterface } from "./multicast-interface.ts";
import { chooseInterfaces, hostAddresses, isOnLink } from "./multicast-interface.ts";
import type { Sender } from "./multicast-link.ts";
import { MulticastLink } from "./multicast-link.ts";
import { PacketGate } from "./packet-gate.ts";
import { PeerCache } from "./peer-cache.ts";
import type { PeerGoodbye, PeerRecord } from "./peer-records.ts";
import { parsePeerRecords } from "./peer-records.ts";
import { ProblemReports } from "./problem-reports.ts";
import type { ServiceRecords } from "./service-records.ts";
import { buildServiceRecords } from "./service-records.ts";

/** Above this many known nodes, shared answers are spread over 100 ms. */
const CROWDED_NODES = 8;
/** Longest wait for the system to take the goodbyes. */
const GOODBYE_MS = 250;

export class MdnsSession {
  readonly #options: ResolvedMdnsOptions;
  readonly #context: DiscoveryContext;
  readonly #events: DiscoveryEvents;
  readonly #source: string;
  readonly #problems: ProblemReports;
  readonly #gate: PacketGate;
  readonly #cache = new PeerCache();
  readonly #stations = new Map<string, LinkStation>();
  #hostAddresses = new Set<string>();
  #lookAtMs: number;
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
    this.#events = events;
    this.#source = source;
    this.#problems = new ProblemReports((problem) => events.problem(problem));
    this.#gate = new PacketGate(context.self.nodeId);
    this.#lookAtMs = this.#nowMs();
  }

  /** Opens the interfaces and does what is due; arms the timer. */
  start(): void {
    this.#tick();
  }

  /** Goodbye on every interface, then everything is closed. */
  async stop(): Promise<void> {
    this.#stopped = true;
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
    for (const nodeId of this.#cache.expire(nowMs)) this.#lost(nodeId);
    const old = this.#cache.takeRefreshes(nowMs);
    for (const [address, station] of this.#stations) {
      if (old.has(address)) station.refresh();
      const fraction = this.#context.random.fraction();
      station.tick(nowMs, fraction, () => this.#cache.known(address, nowMs));
    }
    this.#arm();
  }

  #arm(): void {
    if (this.#stopped) return;
    let dueMs = Math.min(this.#lookAtMs, this.#cache.nextDueMs());
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
    for (const each of chosen) {
      if (!this.#stations.has(each.address)) this.#open(each, nowMs);
    }
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
      station = new LinkStation(link, this.#context.self.mesh, this.#records(from, nowMs), nowMs);
      this.#stations.set(from.address, station);
    } catch (error) {
      this.#problems.network(where, error, nowMs);
    }
  }

  #records(from: MulticastInterface, nowMs: number): ServiceRecords | undefined {
    const { self } = this.#context;
    // A node that listens nowhere has nothing to announce; it still looks for others.
    if (self.addresses.length === 0) return undefined;
    const built = buildServiceRecords(self, from.address, this.#options.ttlMs);
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
        crowded: this.#cache.nodeCount > CROWDED_NODES,
        legacy: sender.port !== this.#options.port,
        local,
      };
      station.query(message, sender, circumstances, this.#cache.known(via, nowMs));
    } else if (sender.port !== this.#options.port) {
      // Responses come from the mDNS port or must be ignored (RFC 6762 section 6).
      this.#context.count("discovery.malformed");
    } else {
      const parsed = parsePeerRecords(message, local);
      for (let n = 0; n < parsed.malformed; n += 1) this.#context.count("discovery.malformed");
      for (const record of parsed.alive) this.#alive(record, sender.address, via, local, nowMs);
      for (const said of parsed.goodbyes) this.#goodbye(station, said, sender.address, nowMs);
    }
    this.#tick();
  }

  #alive(record: PeerRecord, source: string, via: string, local: boolean, nowMs: number): void {
    const { self, random } = this.#context;
    if (record.mesh !== self.mesh || this.#stopped) return;
    if (record.nodeId === self.nodeId) {
      if (!this.#isOwn(record)) this.#context.count("discovery.duplicateId");
      return;
    }
    const origin = { source, via, local };
    if (this.#cache.learn(record, origin, nowMs, random.fraction()) === "full") {
      this.#context.count("discovery.full");
      return;
    }
    // Said again at each refresh, so that a directory that gave a peer up tries it again.
    const { nodeId, epoch, addresses } = record;
    this.#events.found({ nodeId, epoch, addresses, source: this.#source });
  }

  #goodbye(station: LinkStation, said: PeerGoodbye, source: string, nowMs: number): void {
    const { self } = this.#context;
    if (this.#stopped || (said.mesh !== undefined && said.mesh !== self.mesh)) return;
    if (said.nodeId !== self.nodeId) {
      if (this.#cache.goodbye(said, source)) this.#lost(said.nodeId);
    } else if (said.epoch === undefined || said.epoch >= self.epoch) {
      this.#context.count("discovery.forgedGoodbye");
      station.contradict(nowMs);
    }
  }

  #lost(nodeId: string): void {
    if (!this.#stopped) this.#events.lost(nodeId);
  }

  /** Multicast comes back to its sender; anything else under our id is another node. */
  #isOwn(record: PeerRecord): boolean {
    if (record.epoch !== this.#context.self.epoch) return false;
    const own = new Set([...this.#stations.values()].flatMap((station) => station.addresses));
    return record.addresses.every((address) => own.has(address));
  }
}
