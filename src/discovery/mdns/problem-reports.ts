/**
 * Failures of multicast as problems for people: each kind once a minute, not once a packet.
 *
 * Invariant: at most 64 kinds are remembered; beyond that the oldest is forgotten.
 */
import { MeshError } from "../../errors.ts";

const REPEAT_MS = 60_000;
const KINDS_MAX = 64;

export class ProblemReports {
  readonly #report: (problem: MeshError) => void;
  readonly #saidAtMs = new Map<string, number>();

  constructor(report: (problem: MeshError) => void) {
    this.#report = report;
  }

  /** Something the network or the system refused; it is tried again. */
  network(where: string, cause: unknown, nowMs: number): void {
    const errno = errnoOf(cause);
    const text = cause instanceof Error ? cause.message : String(cause);
    const code = errno === "EADDRINUSE" ? "ADDRESS_IN_USE" : "PEER_LOST";
    const message = `mdns: multicast does not work on ${where}: ${text}; tried again for ever`;
    this.#say(`${where} ${errno}`, nowMs, () => {
      return new MeshError(code, message, { cause, details: { discovery: "mdns", where, errno } });
    });
  }

  /** Something the configuration makes impossible. */
  configuration(message: string, nowMs: number): void {
    this.#say(message, nowMs, () => new MeshError("INVALID_OPTIONS", `mdns: ${message}`));
  }

  #say(kind: string, nowMs: number, problem: () => MeshError): void {
    const saidAtMs = this.#saidAtMs.get(kind);
    if (saidAtMs !== undefined && nowMs - saidAtMs < REPEAT_MS) return;
    this.#saidAtMs.delete(kind);
    if (this.#saidAtMs.size >= KINDS_MAX) {
      const [oldest] = this.#saidAtMs.keys();
      if (oldest !== undefined) this.#saidAtMs.delete(oldest);
    }
    this.#saidAtMs.set(kind, nowMs);
    this.#report(problem());
  }
}

function errnoOf(cause: unknown): string {
  const code = (cause as { code?: unknown } | null | undefined)?.code;
  return typeof code === "string" ? code : "unknown";
}
