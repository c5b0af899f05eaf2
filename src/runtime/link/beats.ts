/** When links beat, and what a beat finds: whether the peer is heard, or lives all the same. */
import { BeatPhases } from "../../core/beat-phase.ts";
import type { StallVerdict } from "../../core/stall.ts";
import type { Environment } from "../environment.ts";
import type { Link } from "./link.ts";
import type { Liveness } from "./liveness.ts";

export class Beats {
  readonly #phases: BeatPhases;
  readonly #liveness: Liveness;

  constructor({ random, times: { heartbeatMs } }: Environment, liveness: Liveness) {
    this.#phases = new BeatPhases(random.fraction() * heartbeatMs, heartbeatMs);
    this.#liveness = liveness;
  }

  /** Of a link that has risen. */
  phaseMs(): number {
    return this.#phases.next();
  }

  /** Of each beat; true: the peer begins to be silent, and its process has been asked whether it lives. */
  attend(link: Link): boolean {
    return this.#liveness.attend(link.peer.nodeId, link.silentMs());
  }

  /** Whether the peer's process lives, and its event loop turns: the silence of a stalled one is not an end. */
  judge(link: Link): StallVerdict {
    return this.#liveness.judgeLinked(link.peer.nodeId, link.silentMs(), link.stalled);
  }
}
