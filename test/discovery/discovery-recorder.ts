/**
 * What the discovery tests share: the process's own time, real randomness, a record of everything a discovery
 * said, and waiting for it with a deadline.
 */
import { randomBytes } from "node:crypto";
import type { MeshError } from "../../src/errors.ts";
import type {
  Announcement,
  Discovery,
  DiscoveryContext,
  PeerHint,
} from "../../src/ports/discovery.ts";
import { ownClock } from "../own-clock.ts";

/** Ends a wait that would be in vain. */
const DEADLINE_MS = 60_000;

const silent = { debug() {}, info() {}, warn() {}, error() {} };

/** @param secrets of a node with keys */
export function contextFor(
  self: Announcement,
  counts: Map<string, number>,
  secrets?: () => readonly Uint8Array[],
  warned: string[] = [],
): DiscoveryContext {
  return {
    self,
    ...(secrets === undefined ? {} : { secrets }),
    clock: ownClock,
    random: { bytes: (count) => randomBytes(count), fraction: () => Math.random() },
    logger: { ...silent, warn: (message) => void warned.push(message) },
    count: (name) => counts.set(name, (counts.get(name) ?? 0) + 1),
  };
}

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

/** A node id as the library makes them: 20 characters of base32. */
export function freshNodeId(): string {
  return Array.from(randomBytes(20), (byte) => ALPHABET[byte % 32]).join("");
}

export function announcement(changes: Partial<Announcement> = {}): Announcement {
  return {
    mesh: `mesh-${freshNodeId()}`,
    nodeId: freshNodeId(),
    service: "orders",
    epoch: 1_700_000_000,
    addresses: ["zmq://127.0.0.1:41234"],
    loopbackOnly: true,
    ...changes,
  };
}

/** A running discovery and all it said. */
export class Recorder implements AsyncDisposable {
  readonly self: Announcement;
  readonly found: PeerHint[] = [];
  readonly lost: string[] = [];
  readonly problems: MeshError[] = [];
  readonly counts = new Map<string, number>();
  readonly warned: string[] = [];
  readonly #discovery: Discovery;
  readonly #secrets: (() => readonly Uint8Array[]) | undefined;
  #changed: () => void = () => {};

  constructor(discovery: Discovery, self: Announcement, secrets?: () => readonly Uint8Array[]) {
    this.#discovery = discovery;
    this.self = self;
    this.#secrets = secrets;
  }

  async start(): Promise<this> {
    await this.#discovery.start(contextFor(this.self, this.counts, this.#secrets, this.warned), {
      found: (peer) => {
        this.found.push(peer);
        this.#changed();
      },
      lost: (nodeId) => {
        this.lost.push(nodeId);
        this.#changed();
      },
      problem: (error) => {
        this.problems.push(error);
        this.#changed();
      },
    });
    return this;
  }

  knows(nodeId: string): boolean {
    return this.found.some((peer) => peer.nodeId === nodeId);
  }

  /** Resolves with the process's own ms until `condition` held; rejects with everything recorded. */
  async until(what: string, condition: () => boolean): Promise<number> {
    const startedMs = performance.now();
    const startedOwnMs = ownClock.monotonicMs();
    for (;;) {
      if (condition()) return ownClock.monotonicMs() - startedOwnMs;
      const leftMs = DEADLINE_MS - (performance.now() - startedMs);
      if (leftMs <= 0) {
        const { found, lost, problems } = this;
        const heard = JSON.stringify({ found, lost, problems: problems.map(String) });
        throw new Error(`not within ${DEADLINE_MS} ms: ${what}; heard ${heard}`);
      }
      await new Promise<void>((resolve) => {
        // Counters change without an event, so the condition is looked at every 20 ms as well.
        const timer = setTimeout(resolve, Math.min(leftMs, 20));
        this.#changed = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  stop(): Promise<void> {
    return this.#discovery.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
