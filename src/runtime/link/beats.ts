/** When links beat, and what a beat finds: whether the peer is heard, or lives all the same. */
import { BeatPhases, untilBeat } from "../../core/beat-phase.ts";
import type { StallVerdict } from "../../core/stall.ts";
import type { Environment } from "../environment.ts";
import type { Liveness } from "./liveness.ts";

type Beating = {
  readonly peer: { readonly nodeId: string };
  /** The node's own, to itself. */
  readonly isLocal: boolean;
  readonly stalled: boolean;
  silentMs(): number;
};

/** `nextMs`: from now to the next beat. */
type Look = { readonly verdict: StallVerdict; readonly nextMs: number };

export class Beats {
  readonly #env: Environment;
  readonly #liveness: Liveness;
  readonly #phases: BeatPhases;
  readonly #phaseOf = new WeakMap<Beating, number>();

  constructor(env: Environment, liveness: Liveness) {
    const { heartbeatMs } = env.times;
    this.#env = env;
    this.#liveness = liveness;
    this.#phases = new BeatPhases(env.random.fraction() * heartbeatMs, heartbeatMs);
  }

  /**
   * Before each heartbeat. The verdict is whether the peer's process lives, and its event loop turns: the silence of a
   * stalled one is not an end.
   */
  look(link: Beating): Look {
    const { clock, times } = this.#env;
    const phaseMs = this.#phaseOf.get(link) ?? this.#phases.next();
    this.#phaseOf.set(link, phaseMs);
    const nextMs = Math.ceil(untilBeat(clock.monotonicMs(), phaseMs, times.heartbeatMs));
    if (link.isLocal) return { verdict: "unknown", nextMs };
    const { nodeId } = link.peer;
    const silentMs = link.silentMs();
    // What one that begins to be silent answers is looked at as soon as it tells something.
    const answerMs = this.#liveness.attend(nodeId, silentMs);
    const verdict = this.#liveness.judgeLinked(nodeId, silentMs, link.stalled);
    return { verdict, nextMs: answerMs ?? nextMs };
  }
}
