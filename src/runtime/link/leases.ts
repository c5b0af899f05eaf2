/**
 * From a lost link, or a blocked event loop, to a dead peer.
 *
 * Problem: a link breaks more often than a process dies, and a process whose event loop is blocked is not gone.
 * Approach: a peer without a link is "lost" until its lease has run out, "stalled" as long as its heartbeat says
 * so, up to `stalledMaxMs`, then "dead". One whose loop turns again has a lease to come back. A linked peer is
 * "stalled" and "alive" in turn; its link says when.
 *
 * Invariant: a peer whose process is gone is dead 1.1 x `leaseMs` after its link, whatever it was before.
 */
import { LEASES_WAITED } from "../../core/stall.ts";
import type { Environment } from "../environment.ts";
import type { Liveness } from "./liveness.ts";
import type { Peer } from "./peer.ts";

/** Of a heartbeat: how long what came while this process stood still is read before a verdict. */
const READ_PART = 0.2;

export class Leases {
  readonly #env: Environment;
  readonly #liveness: Liveness;
  readonly #dead: (nodeId: string) => void;

  /** `dead` hears that what the peer had goes to others. */
  constructor(env: Environment, liveness: Liveness, dead: (nodeId: string) => void) {
    this.#env = env;
    this.#liveness = liveness;
    this.#dead = dead;
  }

  /** The peer's link is gone. */
  arm(peer: Peer): void {
    peer.state = "lost";
    this.#liveness.attend(peer.nodeId, Number.POSITIVE_INFINITY);
    this.#wait(peer, this.#env.times.leaseMs * LEASES_WAITED, false);
  }

  disarm(peer: Peer): void {
    if (peer.timer !== undefined) this.#env.clock.clearTimer(peer.timer);
    peer.timer = undefined;
  }

  stalled(peer: Peer): void {
    if (peer.state === "stalled") return;
    peer.state = "stalled";
    const { nodeId, service } = peer;
    this.#env.counters.count("peers.stalled");
    this.#env.report({ type: "peer-stalled", nodeId, service });
  }

  /** Its event loop turns again. */
  resumed(peer: Peer, state: "alive" | "lost"): void {
    peer.state = state;
    const { nodeId, service } = peer;
    this.#env.report({ type: "peer-resumed", nodeId, service });
  }

  #wait(peer: Peer, delayMs: number, isLast: boolean): void {
    this.disarm(peer);
    const { clock } = this.#env;
    const dueMs = clock.monotonicMs() + delayMs;
    peer.timer = clock.setTimer(delayMs, () => {
      peer.timer = undefined;
      const { heartbeatMs } = this.#env.times;
      const isLate = clock.monotonicMs() - dueMs > heartbeatMs;
      // This process stood still: what came meanwhile, the peer's return perhaps, is read first. That is a few turns
      // of the event loop and an answer of the peer; a whole heartbeat more would be a sixth of the fail-over.
      if (isLate && !isLast) this.#wait(peer, heartbeatMs * READ_PART, true);
      else this.#over(peer);
    });
  }

  #over(peer: Peer): void {
    const verdict = this.#liveness.judge(peer.nodeId);
    if (verdict === "stalled") {
      this.stalled(peer);
      this.#wait(peer, this.#env.times.heartbeatMs, false);
      return;
    }
    if (verdict === "turning" && peer.state === "stalled") {
      this.resumed(peer, "lost");
      this.arm(peer);
      return;
    }
    peer.state = "dead";
    this.#liveness.unwatch(peer.nodeId);
    this.#dead(peer.nodeId);
    this.#env.report({ type: "peer-dead", nodeId: peer.nodeId, service: peer.service });
  }
}
