/**
 * The security port: who this node is, who a peer is, and what each of them may do.
 *
 * Identity is a certificate that the mesh's authority signed. The port decides, the runtime enforces: a
 * connection is nobody's until `verify` has accepted its chain and `verifySignature` its proof; from then
 * on each message is judged by `may` of the identity its connection has. Everything but `start` and `stop`
 * is synchronous and bounded, whatever bytes it is given, and throws nothing.
 */
import type { Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";

/** What a certificate allows or denies. "handle" includes replying; "admin" takes a level, not a subject. */
export type Action = "publish" | "subscribe" | "send" | "handle" | "request" | "admin";

/** How much of the mesh's own state may be read or changed; "full" includes "read". */
export type AdminLevel = "none" | "read" | "full";

/** How much of what a pattern selects is allowed. */
export type Extent = "all" | "some" | "none";

/** Limits of what a peer may show of itself, so that a reader can bound its buffer. */
export const CERTIFICATE_BYTES_MAX = 16_384;
/** The leaf, and the issuer that signed it if it was not the authority itself. */
export const CHAIN_LENGTH_MAX = 2;
/** Clocks of a mesh may differ by this much. */
export const CLOCK_SKEW_MS = 60_000;
/** Largest signed list of revocations and authorities. */
export const REVOCATIONS_BYTES_MAX = 1_048_576;

/** A verified certificate. It stays as it is: what changed since, `Security.recheck` says. */
export interface PeerIdentity {
  readonly mesh: string;
  readonly service: string;
  readonly nodeId: string;
  /** Of the certificate, 32 hexadecimal digits. */
  readonly serial: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** The public key of its ZeroMQ sockets, 32 B. */
  readonly curveKey: Uint8Array;
  /** The leaf, DER. */
  readonly certificate: Uint8Array;
  /** The leaf, then the issuer if there is one, DER; without the authority. */
  readonly chain: readonly Uint8Array[];
  /** The identity key, SPKI, DER. */
  readonly publicKey: Uint8Array;
  readonly admin: AdminLevel;
  /**
   * Whether the certificate allows this: deny beats allow, and what is not allowed is denied. For "admin"
   * the subject is the level asked for, "read" or "full". A text that is no subject is denied.
   */
  may(action: Action, subject: string): boolean;
  /** How much of what a pattern selects is allowed; "some" where it is not sure. */
  mayOverlap(action: Exclude<Action, "admin">, pattern: string): Extent;
}

/** Why a chain or a peer is not accepted. */
export type RefusalCode =
  /** No certificate of a node of a mesh: not DER, too large, another key type, broken rights. */
  | "malformed"
  /** No authority of this mesh signed it. */
  | "untrusted"
  | "not-yet-valid"
  | "expired"
  | "wrong-mesh"
  /** The node id is not that of the key. */
  | "wrong-id"
  | "revoked";

export type SecurityRefusal = { readonly code: RefusalCode; readonly message: string };

/** One thing that was refused: who asked, for what, and why not. */
export type AuditRecord = {
  /** The peer, or this node itself. Undefined: nobody was proved. */
  readonly who: Pick<PeerIdentity, "service" | "nodeId" | "serial"> | undefined;
  /** An action, or "join" for a handshake. */
  readonly action: Action | "join";
  /** The subject, pattern or level; for "join" the remote address. */
  readonly subject: string;
  readonly allowed: false;
  readonly why: string;
};

export type SecurityChange =
  /** `self`, and what `tls()` gives, are newer. */
  | "renewed"
  /** More certificates are revoked: `recheck` every peer. */
  | "revoked"
  /** Other authorities are trusted: `recheck` every peer, and ask `tls()` anew. */
  | "authorities";

export type SecurityContext = {
  readonly clock: Clock;
  readonly logger: Logger;
  count(name: string): void;
};

export interface Security {
  /** This node; another object after a renewal, with the same id and keys. */
  readonly self: PeerIdentity;
  /** The key pair of its ZeroMQ sockets, Z85. */
  readonly curve: { readonly publicKey: string; readonly secretKey: string };
  /**
   * What every member has, 32 B each: a filter against strangers, no proof of anything. The first is for what this
   * node says; while the mesh changes it there are two, in another array.
   */
  readonly meshSecrets: readonly Uint8Array[];
  /** Begins to look after the files: takes what was replaced, renews at half life where an issuer is known. */
  start(context: SecurityContext): void;
  /** Idempotent. Verifying and signing go on working. */
  stop(): Promise<void>;
  /** PEM. Ask anew for each listener and dial, so that a renewal takes effect. */
  tls(): { readonly cert: string; readonly key: string; readonly ca: readonly string[] };
  /** Ed25519, 64 B. */
  sign(bytes: Uint8Array): Uint8Array;
  /** Who this chain is of: leaf first, DER, as the peer sent it. */
  verify(chain: readonly Uint8Array[], nowMs: number): PeerIdentity | SecurityRefusal;
  /** Why a peer verified before would not be accepted any more; undefined: it would. Cheap. */
  recheck(peer: PeerIdentity, nowMs: number): SecurityRefusal | undefined;
  verifySignature(peer: PeerIdentity, bytes: Uint8Array, signature: Uint8Array): boolean;
  /** By the serial of a certificate. A revoked key or issuer is seen by `verify` and `recheck` only. */
  isRevoked(serial: string): boolean;
  /**
   * Whether a ZeroMQ socket's public key is of a node whose key is revoked. Only of nodes that `verify` has seen since
   * the start: of others it is not known.
   */
  isRevokedCurveKey(curveKey: Uint8Array): boolean;
  /** The signed list as bytes, to hand to others; its number tells which is newer. */
  revocations(): {
    readonly number: number;
    readonly bytes: Uint8Array;
    /** Those that the list names, to go with it to members only; empty when they are not known here. */
    readonly secrets: readonly Uint8Array[];
  };
  /** Takes a list that a peer handed over, and secrets if it names them: "refused" when no trusted authority signed it. */
  learnRevocations(bytes: Uint8Array, secrets?: readonly Uint8Array[]): "new" | "old" | "refused";
  /** Returns how to stop listening. */
  onChange(listener: (what: SecurityChange) => void): () => void;
  /** To the logger (at most 10 lines a second) and the counter "security.denied". */
  audit(record: AuditRecord): void;
}

/** Tells a refusal from an identity. */
export const isRefusal = (verdict: PeerIdentity | SecurityRefusal): verdict is SecurityRefusal =>
  "code" in verdict;
