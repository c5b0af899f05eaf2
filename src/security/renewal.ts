/**
 * Renews a node's certificate in good time.
 *
 * From half of its life on the issuer is asked, if one is known; after a failure again when a tenth of
 * what is left has passed, so that an issuer that is away for a while costs a few questions and no
 * certificate. Without an issuer it is said once, and a folder that is replaced from outside is taken. What a node
 * hears of revocations from its peers it tells the issuer, within TELL_MS, so that none of it is renewed.
 */
import { randomInt } from "node:crypto";
import type { Timer } from "../ports/clock.ts";
import { CLOCK_SKEW_MS, type PeerIdentity, type SecurityContext } from "../ports/security.ts";

const RETRY_MS_MIN = 5_000;
const RETRY_MS_MAX = 3_600_000;
const RETRY_FRACTION = 10;
/** Spread, since every member hears of a list at once. */
const TELL_MS = 10_000;

/** It began earlier than it was made, by the skew of clocks. */
const halfOfLifeMs = (notBeforeMs: number, notAfterMs: number): number =>
  (Math.min(notBeforeMs + CLOCK_SKEW_MS, notAfterMs) + notAfterMs) / 2;

export class Renewal {
  readonly #folder: string;
  readonly #context: SecurityContext;
  #underWay: Promise<void> | undefined;
  #telling: Timer | undefined;
  #told: Promise<void> | undefined;
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

  /** A newer list is in the folder, and not from the issuer. */
  heardList(): void {
    const { clock } = this.#context;
    this.#telling ??= clock.setTimer(randomInt(TELL_MS), () => {
      this.#telling = undefined;
      this.#told = this.#tell();
    });
  }

  /** Waits for a question under way. */
  async stop(): Promise<void> {
    if (this.#telling !== undefined) this.#context.clock.clearTimer(this.#telling);
    await Promise.all([this.#underWay, this.#told]);
  }

  async #tell(): Promise<void> {
    const { logger, count } = this.#context;
    try {
      const { tellIssuer } = await import("./ask-issuer.ts");
      await tellIssuer(this.#folder);
      count("security.listTold");
    } catch (error) {
      // The next renewal brings it along.
      const reason = error instanceof Error ? error.message : String(error);
      logger.warn("the issuer could not be told of revocations", { reason });
    }
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
