/** When links beat, and what a beat finds: whether the peer is heard, or lives all the same. */
import { BeatPhases } from "../../core/beat-phase.ts";
import type { StallVerdict } from "../../core/stall.ts";
import type { Environment } from "../environment.ts";
import type { Liveness } from "./liveness.ts";

type Beating = {
  readonly peer: { readonly nodeId: string };
  readonly stalled: boolean;
  silentMs(): number;
};

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

  /** Of each beat: when to look again at a peer that begins to be silent and has been asked whether it lives. */
  attend(link: Beating): number | undefined {
    return this.#liveness.attend(link.peer.nodeId, link.silentMs());
  }

  /** Whether the peer's process lives, and its event loop turns: the silence of a stalled one is not an end. */
  judge(link: Beating): StallVerdict {
    return this.#liveness.judgeLinked(link.peer.nodeId, link.silentMs(), link.stalled);
  }
}
