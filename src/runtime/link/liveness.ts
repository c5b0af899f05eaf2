/**
 * Which peers live although their links are silent, by the node's heartbeat.
 *
 * Problem: a heartbeat may be missing here, at a peer of an older version, or be lost on the way; a node must work
 * without one. Approach: it can only add life. Where nothing is heard through it the verdict is "unknown", and
 * links and leases decide as they would alone.
 *
 * Invariant: a peer is watched from the greeting of a life of it until that life is over.
 */
import { judgeStall, LEASES_WAITED, type StallVerdict } from "../../core/stall.ts";
import type { Heartbeat, HeartbeatSelf } from "../../ports/heartbeat.ts";
import type { Identity } from "../../wire/handshake.ts";
import type { Environment } from "../environment.ts";

/** A frame comes with every heartbeat; one that is half a heartbeat late did not leave in time. */
const BLOCKED_BEATS = 1.5;
/** A link over which something came within so many heartbeats shows by itself that its peer lives. */
const HEARD_BEATS = 1.2;
/** Of a heartbeat: by then a process that was asked whether it lives has answered. */
const ANSWER_PART = 0.2;
const NO_PULSE = { silentMs: Number.POSITIVE_INFINITY, lagMs: 0 };

export class Liveness {
  readonly #env: Environment;
  #heartbeat: Heartbeat | undefined;
  /** Peers that are heard on their links: their heartbeats are asked seldom. */
  readonly #eased = new Set<string>();

  constructor(env: Environment, heartbeat: Heartbeat | undefined) {
    this.#env = env;
    this.#heartbeat = heartbeat;
  }

  /** Resolves with the address to advertise; "" where there is no heartbeat, which stops nobody. */
  async start(self: HeartbeatSelf): Promise<string> {
    const { clock, counters, limits, times } = this.#env;
    try {
      const address = await this.#heartbeat?.start(self, {
        clock,
        intervalMs: times.heartbeatMs,
        peersMax: limits.peersMax,
        count: (name, count) => counters.count(name, count),
        failed: (error) => this.#failed(error),
      });
      return address ?? "";
    } catch (error) {
      this.#failed(error);
      this.#heartbeat = undefined;
      return "";
    }
  }

  /** A session with this life of a peer is up. */
  watch({ nodeId, nonce, heartbeat }: Pick<Identity, "nodeId" | "nonce" | "heartbeat">): void {
    this.#eased.delete(nodeId);
    if (heartbeat === "") this.#heartbeat?.unwatch(nodeId);
    else this.#heartbeat?.watch({ nodeId, nonce, address: heartbeat });
  }

  unwatch(nodeId: string): void {
    this.#eased.delete(nodeId);
    this.#heartbeat?.unwatch(nodeId);
  }

  /**
   * What was last heard of a linked peer on its link is so old. The heartbeat of one that begins to be silent there is
   * asked now, and closely from now on.
   * @returns when its answer tells whether it is blocked, from now; undefined: it does not begin to be silent
   */
  attend(nodeId: string, linkSilentMs: number): number | undefined {
    const { heartbeatMs } = this.#env.times;
    const isHeard = linkSilentMs <= heartbeatMs * HEARD_BEATS;
    if (isHeard === this.#eased.has(nodeId)) return undefined;
    if (isHeard) this.#eased.add(nodeId);
    else this.#eased.delete(nodeId);
    this.#heartbeat?.attend(nodeId, !isHeard);
    if (isHeard) return undefined;
    const missedMs = heartbeatMs * BLOCKED_BEATS - linkSilentMs + 1;
    return Math.max(heartbeatMs * ANSWER_PART, missedMs);
  }

  /** Of a peer without a link. */
  judge(nodeId: string): StallVerdict {
    return this.judgeLinked(nodeId, Number.POSITIVE_INFINITY, false);
  }

  /** Of a linked one, whose last frame is so old. Once it is stalled, it falls silent like any other. */
  judgeLinked(nodeId: string, linkSilentMs: number, isStalled: boolean): StallVerdict {
    const { leaseMs, stalledMaxMs, silenceMs } = this.#env.times;
    const patienceMs = isStalled ? silenceMs : leaseMs * LEASES_WAITED;
    const limits = { leaseMs, stalledMaxMs, patienceMs };
    return judgeStall(this.#heartbeat?.pulse(nodeId), linkSilentMs, limits);
  }

  /**
   * Whether a linked peer's process has just said that its event loop missed turns: sooner than it counts as stalled,
   * and not of one that fell silent itself.
   */
  isBlocked(nodeId: string, linkSilentMs: number): boolean {
    const { heartbeatMs, stalledMaxMs } = this.#env.times;
    const { silentMs, lagMs } = this.#heartbeat?.pulse(nodeId) ?? NO_PULSE;
    if (silentMs > 2 * heartbeatMs || lagMs > stalledMaxMs) return false;
    return Math.min(lagMs + heartbeatMs, linkSilentMs) > heartbeatMs * BLOCKED_BEATS;
  }

  /** When the newest heartbeat of this node left that some peer answered; -Infinity: none was. */
  answeredSentMs(): number {
    return this.#heartbeat?.answeredSentMs() ?? Number.NEGATIVE_INFINITY;
  }

  async stop(): Promise<void> {
    await this.#heartbeat?.stop();
  }

  #failed(error: unknown): void {
    this.#env.counters.count("heartbeat.failed");
    this.#env.logger.warn("no heartbeat: a blocked event loop counts as a dead process", { error });
  }
}
