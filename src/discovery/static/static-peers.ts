/**
 * Static peers: addresses the operator wrote down.
 *
 * Problem: networks without multicast, and partitions that must heal without anyone's help. Approach:
 * say every address at start and again for ever, with a growing, jittered pause; the directory above
 * knows which peers it already has. Nothing is ever given up, nothing is sent.
 * Invariants: pauses double from 500 ms to 30 s, each times a factor in [0.75, 1.25); one timer; no
 * event after `stop()`.
 */

import { formatPeerAddress, parsePeerAddress } from "../../core/peer-address.ts";
import { MeshError } from "../../errors.ts";
import type { Timer } from "../../ports/clock.ts";
import type { Discovery, DiscoveryContext, DiscoveryEvents } from "../../ports/discovery.ts";

const FIRST_PAUSE_MS = 500;
const PAUSE_MAX_MS = 30_000;
const ADDRESSES_MAX = 1_024;

/**
 * Peers at fixed addresses.
 *
 * @param addresses "zmq://host:port", "tcp://", "grpc://", "unix:///path"; bare "host:port" means
 *   zmq. IPv6 in brackets: "[::1]:7400". At most 1,024; repeats and the node's own are skipped.
 * @throws MeshError INVALID_OPTIONS naming every wrong address at once.
 */
export function staticPeers(addresses: readonly string[]): Discovery {
  return new StaticPeers(checkedAddresses(addresses));
}

class StaticPeers implements Discovery {
  readonly name = "static";
  readonly #addresses: readonly string[];
  #running: { context: DiscoveryContext; events: DiscoveryEvents; timer?: Timer } | undefined;

  constructor(addresses: readonly string[]) {
    this.#addresses = addresses;
  }

  async start(context: DiscoveryContext, events: DiscoveryEvents): Promise<void> {
    if (this.#running !== undefined) return;
    this.#running = { context, events };
    this.#sayAndArm(FIRST_PAUSE_MS);
  }

  async stop(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    if (running?.timer !== undefined) running.context.clock.clearTimer(running.timer);
  }

  #sayAndArm(pauseMs: number): void {
    const running = this.#running;
    if (running === undefined) return;
    const { clock, random, self } = running.context;
    // Armed first, so that a receiver that throws cannot end the healing.
    const delayMs = pauseMs * (0.75 + random.fraction() / 2);
    const nextPauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS);
    running.timer = clock.setTimer(delayMs, () => this.#sayAndArm(nextPauseMs));
    for (const address of this.#addresses) {
      // One list is often deployed to every node, so it names this one too.
      if (self.addresses.includes(address)) continue;
      running.events.found({ addresses: [address], source: this.name });
      if (this.#running !== running) return;
    }
  }
}

function checkedAddresses(addresses: readonly string[]): readonly string[] {
  if (!Array.isArray(addresses)) {
    throw new MeshError("INVALID_OPTIONS", "staticPeers: addresses must be an array of strings");
  }
  if (addresses.length > ADDRESSES_MAX) {
    const given = addresses.length;
    throw new MeshError(
      "INVALID_OPTIONS",
      `staticPeers: ${given} addresses exceed the bound of ${ADDRESSES_MAX}`,
    );
  }
  const wrong: string[] = [];
  const good = new Set<string>();
  for (const text of addresses as readonly unknown[]) {
    const parsed = typeof text === "string" ? parsePeerAddress(text) : undefined;
    if (parsed === undefined) wrong.push(shown(text));
    else good.add(formatPeerAddress(parsed));
  }
  if (wrong.length > 0) {
    throw new MeshError(
      "INVALID_OPTIONS",
      `staticPeers: not an address: ${wrong.join(", ")}; expected "host:port", "zmq://host:port", ` +
        `"tcp://host:port", "grpc://host:port" or "unix:///path"`,
      { details: { wrong } },
    );
  }
  return [...good];
}

function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value.slice(0, 260)) : typeof value;
}
