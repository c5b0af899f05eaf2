/**
 * Refusals, told: each is counted, and a line is written for each as long as they come slowly.
 *
 * A flood of them must not become a flood of lines: at most LINES_MAX in a second, and the next line says
 * how many were left out.
 */
import type { AuditRecord, SecurityContext } from "../ports/security.ts";

const LINES_MAX = 10;
const WINDOW_MS = 1_000;

export class AuditLog {
  #context: SecurityContext | undefined;
  #windowMs = Number.NEGATIVE_INFINITY;
  #lines = 0;
  #leftOut = 0;

  start(context: SecurityContext): void {
    this.#context = context;
  }

  write({ who, action, subject, allowed, why }: AuditRecord): void {
    const context = this.#context;
    if (context === undefined) return;
    context.count("security.denied");
    const nowMs = context.clock.monotonicMs();
    if (nowMs - this.#windowMs >= WINDOW_MS) {
      this.#windowMs = nowMs;
      this.#lines = 0;
    }
    if (this.#lines >= LINES_MAX) {
      this.#leftOut++;
      return;
    }
    this.#lines++;
    const more = this.#leftOut > 0 ? { leftOut: this.#leftOut } : {};
    this.#leftOut = 0;
    const { service, nodeId, serial } = who ?? {};
    const fields = { service, nodeId, serial, action, subject, allowed, why, ...more };
    context.logger.warn("denied", fields);
  }
}
