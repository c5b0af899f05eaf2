/**
 * What a client may do, by the certificate that its connection has shown.
 *
 * Problem: a gateway says and takes for others, and its node may do more than they. Approach: the client's own
 * certificate is asked for each message, question and stream, before the node is; what it allows the node's own rights
 * must allow as well. Each denial is an audit record and counted, as among nodes.
 *
 * Limit: a certificate counts for as long as its connection; one that is revoked or has ended closes it.
 */
import type { TLSSocket } from "node:tls";
import { MeshError } from "../errors.ts";
import {
  type Action,
  isRefusal,
  type PeerIdentity,
  type Security,
  type SecurityRefusal,
} from "../ports/security.ts";
import type { ListenRole } from "./open-options.ts";

const TAKES = { events: "subscribe", commands: "handle", queries: "handle" } as const;

export class ClientRights {
  readonly who: PeerIdentity;
  readonly #security: Security;

  constructor(security: Security, who: PeerIdentity) {
    this.#security = security;
    this.who = who;
  }

  /** @throws MeshError UNAUTHORIZED */
  assertMay(action: Exclude<Action, "admin">, subject: string): void {
    if (!this.who.may(action, subject)) throw this.#denied(action, subject);
  }

  /** To take all that the pattern selects. @throws MeshError UNAUTHORIZED */
  assertMayTake(role: ListenRole, pattern: string): void {
    const action = TAKES[role];
    if (this.who.mayOverlap(action, pattern) !== "all") throw this.#denied(action, pattern);
  }

  /** Why it would not be let in any more. */
  refused(nowMs: number): SecurityRefusal | undefined {
    return this.#security.recheck(this.who, nowMs);
  }

  #denied(action: Action, subject: string): MeshError {
    const { who } = this;
    const why = `the certificate of ${who.service} does not allow to ${action} "${subject}"`;
    this.#security.audit({ who, action, subject, allowed: false, why });
    return new MeshError("UNAUTHORIZED", why, { details: { action, subject } });
  }
}

/** Who is at the other end of a connection whose handshake ended well. */
export const identityOf = (
  socket: TLSSocket,
  security: Security,
  nowMs: number,
): PeerIdentity | SecurityRefusal => {
  const leaf = socket.getPeerX509Certificate();
  if (leaf === undefined) return { code: "malformed", message: "it shows no certificate" };
  const alone = security.verify([leaf.raw], nowMs);
  const issuer = leaf.issuerCertificate;
  if (!isRefusal(alone) || issuer === undefined) return alone;
  return security.verify([leaf.raw, issuer.raw], nowMs);
};
