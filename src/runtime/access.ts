/**
 * What this node and its peers may do, asked where it binds.
 *
 * Problem: a right that is checked by who claims it is none. Approach: the receiver of a message checks what its
 * sender may say, the sender of a message checks who may read it, each by the certificate that the other has proved
 * in the greeting; what this node itself may do is checked first, for an error at the call. Every denial is an audit
 * record and counted (`security.denied`).
 *
 * A subscription is allowed as a whole or not at all: were a part of its messages withheld, they would wait for ever.
 *
 * Subjects that begin with "$meshbus." are the nodes' own: each may answer under its own id, and who asks needs a
 * level of administration, not a subject. What a node says to itself needs no right but that of the call.
 *
 * There is no `Access` where a node has no keys: everybody may do everything. Source: DESIGN section 10.
 */
import { MeshError } from "../errors.ts";
import type { Action, AdminLevel, PeerIdentity, Security } from "../ports/security.ts";
import type { Role, SubscriptionRecord } from "../wire/declare.ts";

/** A link, as far as it says whose it is. */
type Asker = {
  /** The node's link to itself. */
  readonly isLocal: boolean;
  readonly proven: PeerIdentity | undefined;
  readonly peer: { readonly nodeId: string };
};

/** What a right to take is about. */
type Taken = Pick<SubscriptionRecord, "role" | "pattern">;

const INTERNAL = "$meshbus.";
const ACTIONS = {
  events: "subscribe",
  commands: "handle",
  queries: "handle",
} as const satisfies Record<Role, Action>;
const SAYS = ["publish", "send", "request"] as const;

export class Access {
  readonly security: Security;

  constructor(security: Security) {
    this.security = security;
  }

  // --- this node -----------------------------------------------------------------------------

  /** @throws MeshError UNAUTHORIZED */
  assertMay(action: Exclude<Action, "admin">, subject: string): void {
    const { self } = this.security;
    if (!self.may(action, subject)) throw this.#denied(self, action, subject);
  }

  /** To take all that the pattern selects. @throws MeshError UNAUTHORIZED */
  assertMayTake(role: Role, pattern: string): void {
    const { self } = this.security;
    const action = ACTIONS[role];
    if (self.mayOverlap(action, pattern) !== "all") throw this.#denied(self, action, pattern);
  }

  // --- a peer --------------------------------------------------------------------------------

  /** Whether the peer may say this. Undefined: it may; else why not. */
  saying(link: Asker, kind: 0 | 1 | 2, subject: string): string | undefined {
    if (link.isLocal) return undefined;
    const action = SAYS[kind] as (typeof SAYS)[number];
    return link.proven?.may(action, subject) ? undefined : this.#deny(link, action, subject);
  }

  /** Whether the peer may take all messages of a subscription, or answer its queries. */
  taking(link: Asker, { role, pattern }: Taken): string | undefined {
    if (link.isLocal) return undefined;
    const action = ACTIONS[role];
    const isAllowed = pattern.startsWith(INTERNAL)
      ? role === "queries" && pattern.startsWith(`${INTERNAL}${link.peer.nodeId}.`)
      : link.proven?.mayOverlap(action, pattern) === "all";
    return isAllowed ? undefined : this.#deny(link, action, pattern);
  }

  /** Whether the peer has to do with a subscription at all: it takes its messages, or says some. */
  concerned(link: Asker, { role, pattern }: Taken): string | undefined {
    if (link.isLocal) return undefined;
    const says = role === "events" ? "publish" : "send";
    const { proven } = link;
    const isConcerned =
      proven !== undefined &&
      (proven.mayOverlap(ACTIONS[role], pattern) === "all" ||
        proven.mayOverlap(says, pattern) !== "none");
    return isConcerned ? undefined : this.#deny(link, ACTIONS[role], pattern);
  }

  /** Somebody may not end this subscription, this node itself where nobody else is named: the error for its caller. */
  endDenied(
    { role, pattern }: Taken,
    why: string,
    who: PeerIdentity = this.security.self,
  ): MeshError {
    const action = ACTIONS[role];
    this.security.audit({ who, action, subject: pattern, allowed: false, why });
    return new MeshError("UNAUTHORIZED", why, { details: { action, subject: pattern } });
  }

  administering(link: Asker, level: Exclude<AdminLevel, "none">): string | undefined {
    if (link.isLocal) return undefined;
    return link.proven?.may("admin", level) ? undefined : this.#deny(link, "admin", level);
  }

  // --- inside --------------------------------------------------------------------------------

  #deny(link: Asker, action: Action, subject: string): string {
    const who = link.proven;
    const why = problem(who, action, subject);
    this.security.audit({ who, action, subject, allowed: false, why });
    return why;
  }

  #denied(self: PeerIdentity, action: Action, subject: string): MeshError {
    const why = problem(self, action, subject);
    this.security.audit({ who: self, action, subject, allowed: false, why });
    const message = `${why}: issue it one that does (meshbus keys issue --${action})`;
    return new MeshError("UNAUTHORIZED", message, { details: { action, subject } });
  }
}

const problem = (who: PeerIdentity | undefined, action: Action, subject: string): string =>
  `the certificate of ${who?.service ?? "nobody"} does not allow to ${action} "${subject}"`;
