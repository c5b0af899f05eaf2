/**
 * Renews a node's certificate in good time.
 *
 * From half of its life on the issuer is asked, if one is known; after a failure again when a tenth of
 * what is left has passed, so that an issuer that is away for a while costs a few questions and no
 * certificate. Without an issuer it is said once, and a folder that is replaced from outside is taken.
 */
import { CLOCK_SKEW_MS, type PeerIdentity, type SecurityContext } from "../ports/security.ts";

const RETRY_MS_MIN = 5_000;
const RETRY_MS_MAX = 3_600_000;
const RETRY_FRACTION = 10;

/** It began earlier than it was made, by the skew of clocks. */
const halfOfLifeMs = (notBeforeMs: number, notAfterMs: number): number =>
  (Math.min(notBeforeMs + CLOCK_SKEW_MS, notAfterMs) + notAfterMs) / 2;

export class Renewal {
  readonly #folder: string;
  readonly #context: SecurityContext;
  #underWay: Promise<void> | undefined;
  /** By the wall clock, as certificates are. */
  #againMs = 0;
  /** The serial about which it was said that nobody renews it. */
  #said = "";

  constructor(folder: string, context: SecurityContext) {
    this.#folder = folder;
    this.#context = context;
  }

  /** Called every few seconds; `renewed` when there is a newer certificate on the disk. */
  look(self: PeerIdentity, hasIssuer: boolean, renewed: () => void): void {
    const { clock, logger } = this.#context;
    const nowMs = clock.wallMs();
    const { notBeforeMs, notAfterMs, serial } = self;
    if (nowMs < halfOfLifeMs(notBeforeMs, notAfterMs)) return;
    if (!hasIssuer) {
      if (this.#said === serial) return;
      this.#said = serial;
      const ends = new Date(notAfterMs).toISOString();
      logger.warn("half of the certificate's life is over, and no issuer is known", { ends });
      return;
    }
    if (this.#underWay !== undefined || nowMs < this.#againMs) return;
    this.#underWay = this.#renew(notAfterMs, renewed).finally(() => {
      this.#underWay = undefined;
    });
  }

  /** Waits for a question under way. */
  async stop(): Promise<void> {
    await this.#underWay;
  }

  async #renew(notAfterMs: number, renewed: () => void): Promise<void> {
    const { clock, logger } = this.#context;
    try {
      const { renewFromIssuer } = await import("./ask-issuer.ts");
      await renewFromIssuer(this.#folder);
      this.#context.count("security.renewed");
      renewed();
    } catch (error) {
      const leftMs = notAfterMs - clock.wallMs();
      const waitMs = Math.min(Math.max(leftMs / RETRY_FRACTION, RETRY_MS_MIN), RETRY_MS_MAX);
      this.#againMs = clock.wallMs() + waitMs;
      this.#context.count("security.renewFailed");
      const reason = error instanceof Error ? error.message : String(error);
      logger.warn("the certificate could not be renewed", { reason, leftMs, againMs: waitMs });
    }
  }
}
