/**
 * Discovery that a simulation controls: what a node says of itself reaches the others after a while, and
 * can be lost, stale or wrong while the network for data works, and the other way round.
 *
 * Approach: a hub keeps every announcement and repeats it to everybody from time to time, as multicast
 * does; the record of a node that died stays until it runs out.
 */
import type {
  Announcement,
  Discovery,
  DiscoveryContext,
  DiscoveryEvents,
  PeerHint,
} from "../ports/discovery.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { VirtualProcess } from "./virtual-process.ts";
import type { VirtualTime } from "./virtual-time.ts";

export type DiscoveryFaults = {
  /** Probability that a host does not hear an announcement. */
  drop: number;
  /** Probability that it hears "lost" instead. */
  falseGoodbye: number;
  /** Probability that it hears the addresses of another node. */
  wrongAddress: number;
  /** Hosts that hear nothing and are not heard. */
  readonly deaf: Set<string>;
};

const REPEAT_MS = 2_000;
const TTL_MS = 6_000;
const DELAY_MEAN_MS = 20;

type Station = {
  readonly host: string;
  readonly process: VirtualProcess;
  readonly self: Announcement;
  readonly events: DiscoveryEvents;
};
type RecordOf = { readonly host: string; readonly self: Announcement; heardMs: number };

/** A node id may be announced by two hosts: the folder was copied. */
const recordKey = (host: string, nodeId: string): string => `${host} ${nodeId}`;

export class DiscoveryHub {
  readonly faults: DiscoveryFaults = { drop: 0, falseGoodbye: 0, wrongAddress: 0, deaf: new Set() };
  readonly #time: VirtualTime;
  readonly #random: SeededRandom;
  readonly #fault: (name: string) => void;
  readonly #stations = new Set<Station>();
  readonly #records = new Map<string, RecordOf>();

  constructor(time: VirtualTime, random: SeededRandom, fault: (name: string) => void) {
    this.#time = time;
    this.#random = random;
    this.#fault = fault;
    this.#repeat();
  }

  /** The discovery of one life of a node. */
  join(host: string, process: VirtualProcess): Discovery {
    let station: Station | undefined;
    return {
      name: "sim",
      start: async ({ self }: DiscoveryContext, events: DiscoveryEvents) => {
        station = { host, process, self, events };
        this.#stations.add(station);
        this.#records.set(recordKey(host, self.nodeId), { host, self, heardMs: this.#time.nowMs });
        for (const record of this.#records.values()) this.#tell(station, record);
        for (const other of this.#stations) {
          const record = this.#records.get(recordKey(host, self.nodeId));
          if (record !== undefined) this.#tell(other, record);
        }
      },
      stop: async () => {
        if (station === undefined) return;
        this.#stations.delete(station);
        const { nodeId } = station.self;
        station = undefined;
        if (this.#records.delete(recordKey(host, nodeId))) this.#goodbye(nodeId, host);
      },
    };
  }

  #repeat(): void {
    this.#time.after(REPEAT_MS, () => {
      for (const station of [...this.#stations]) {
        if (!station.process.isAlive) {
          this.#stations.delete(station);
          continue;
        }
        if (station.process.isPaused) continue; // its record may run out, and is back when it goes on
        const { host, self } = station;
        this.#records.set(recordKey(host, self.nodeId), { host, self, heardMs: this.#time.nowMs });
      }
      for (const [key, record] of [...this.#records]) {
        if (this.#time.nowMs - record.heardMs > TTL_MS) {
          this.#records.delete(key);
          this.#goodbye(record.self.nodeId, record.host);
        } else {
          for (const station of this.#stations) this.#tell(station, record);
        }
      }
      this.#repeat();
    });
  }

  #tell(station: Station, record: RecordOf): void {
    if (station.self.nodeId === record.self.nodeId) return;
    const { faults } = this;
    if (faults.deaf.has(station.host) || faults.deaf.has(record.host)) return;
    if (faults.drop > 0 && this.#random.chance(faults.drop)) {
      this.#fault("discoveryDrop");
      return;
    }
    const { nodeId, epoch } = record.self;
    let { addresses } = record.self;
    if (faults.wrongAddress > 0 && this.#random.chance(faults.wrongAddress)) {
      this.#fault("discoveryWrongAddress");
      addresses = this.#random.pick([...this.#records.values()]).self.addresses;
    }
    const hint: PeerHint = { nodeId, epoch, addresses, source: "sim" };
    const isLie = faults.falseGoodbye > 0 && this.#random.chance(faults.falseGoodbye);
    if (isLie) this.#fault("discoveryFalseGoodbye");
    station.process.post(this.#random.exponential(DELAY_MEAN_MS), () => {
      if (isLie) station.events.lost(nodeId);
      else station.events.found(hint);
    });
  }

  #goodbye(nodeId: string, host: string): void {
    if (this.faults.deaf.has(host)) return;
    for (const station of this.#stations) {
      if (this.faults.deaf.has(station.host)) continue;
      const delayMs = this.#random.exponential(DELAY_MEAN_MS);
      station.process.post(delayMs, () => station.events.lost(nodeId));
    }
  }
}
