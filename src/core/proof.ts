/**
 * How two nodes with keys prove to each other who they are, over a connection that is already encrypted.
 *
 * Problem: a transport shows at most which transport key the other end holds; a certificate is public, so showing one
 * proves nothing; and what is said to one node must be worth nothing at another, or later. Approach: the dialler
 * says Hello with a random number and its certificate; the listener answers with a Challenge: a random number, its
 * certificate, and its signature; the dialler answers with its own. Both sign the same text: who dials whom, the
 * transport keys of both ends as each knows them, both random numbers, both certificates, and the whole Hello. A
 * message that was recorded fails by the numbers, one that was passed on by the transport keys, one that was altered
 * by the Hello; a role in front keeps one's signature from being the other's.
 *
 * Invariants: nothing but Hello and Proof is believed before `proved` gave a peer; verdicts of a wrong state are
 * refusals. Source: SIGMA (Krawczyk 2003) for what must be signed; DESIGN section 10.
 */
import type { Rejection } from "./session.ts";

export type Role = "dialler" | "listener";

/** A verified certificate, as far as a proof needs it. */
export type Provable = {
  readonly mesh: string;
  readonly service: string;
  readonly nodeId: string;
  readonly curveKey: Uint8Array;
  readonly certificate: Uint8Array;
  readonly chain: readonly Uint8Array[];
  readonly publicKey: Uint8Array;
};

/** What the port of security does here. */
export interface Prover<Peer extends Provable> {
  readonly self: Provable;
  sign(bytes: Uint8Array): Uint8Array;
  verify(chain: readonly Uint8Array[], nowMs: number): Peer | Rejection;
  verifySignature(peer: Peer, bytes: Uint8Array, signature: Uint8Array): boolean;
}

/** The keys of the connection, as this end knows them; undefined: the connection has none. */
export type ProofChannel =
  | {
      readonly kind: "tls" | "curve";
      readonly ownKey: Uint8Array;
      readonly peerKey: Uint8Array | undefined;
    }
  | undefined;

/** What a node says of itself in the frame that carries its certificate. */
export type Claim = { readonly mesh: string; readonly service: string; readonly nodeId: string };

export type Shown = { readonly nonce: Uint8Array; readonly chain: readonly Uint8Array[] };

export const PROOF_NONCE_BYTES = 32;
/** Of a refusal. The message says more to the node's own log than to a stranger. */
export const UNAUTHORIZED = "UNAUTHORIZED";

const NO_KEYS = "it has no keys, and this node has: issue it a certificate of this mesh";
const LABEL = "meshbus proof 1";
const NO_KEY = new Uint8Array(0);

/** The accepting side. */
export class ListenerProof<Peer extends Provable> {
  readonly #prover: Prover<Peer>;
  readonly #channel: ProofChannel;
  readonly #nonce: Uint8Array;
  #peer: Peer | undefined;
  #text: ((role: Role) => Uint8Array) | undefined;

  /** @param nonce random, for this connection alone */
  constructor(prover: Prover<Peer>, channel: ProofChannel, nonce: Uint8Array) {
    this.#prover = prover;
    this.#channel = channel;
    this.#nonce = nonce;
  }

  /** @param bytes the whole Hello, as it came */
  challenge(
    claim: Claim,
    shown: Shown | undefined,
    bytes: Uint8Array,
    nowMs: number,
  ): (Shown & { readonly signature: Uint8Array }) | Rejection {
    if (this.#text !== undefined) return refused("a second Hello");
    const peer = verified(this.#prover, this.#channel, shown, nowMs);
    if ("code" in peer) return peer;
    const wrong = claimProblem(peer, claim);
    if (wrong !== undefined) return refused(wrong);
    const { self } = this.#prover;
    const { ownKey = NO_KEY } = this.#channel ?? {};
    const text = {
      dialler: peer,
      listener: self,
      diallerKey: keyOf(this.#channel, peer),
      listenerKey: ownKey,
      diallerNonce: shown?.nonce ?? NO_KEY,
      listenerNonce: this.#nonce,
      hello: bytes,
    };
    this.#peer = peer;
    this.#text = (role) => proofText(role, text);
    const signature = this.#prover.sign(this.#text("listener"));
    return { nonce: this.#nonce, chain: self.chain, signature };
  }

  /** Who dialled. */
  proved(signature: Uint8Array): Peer | Rejection {
    const peer = this.#peer;
    const text = this.#text;
    if (peer === undefined || text === undefined) return refused("a proof before a Hello");
    this.#peer = undefined; // one try
    const isProved = this.#prover.verifySignature(peer, text("dialler"), signature);
    return isProved ? peer : refused("its proof does not verify");
  }
}

/** The dialling side. */
export class DiallerProof<Peer extends Provable> {
  readonly #prover: Prover<Peer>;
  readonly #channel: ProofChannel;
  readonly #nonce: Uint8Array;
  #peer: Peer | undefined;

  /** @param nonce random, for this connection alone */
  constructor(prover: Prover<Peer>, channel: ProofChannel, nonce: Uint8Array) {
    this.#prover = prover;
    this.#channel = channel;
    this.#nonce = nonce;
  }

  /** What the Hello shows. */
  get shown(): Shown {
    return { nonce: this.#nonce, chain: this.#prover.self.chain };
  }

  /** @param hello as it was sent. @returns the proof to send */
  answer(
    challenge: Shown & { readonly signature: Uint8Array },
    hello: Uint8Array,
    nowMs: number,
  ): { readonly signature: Uint8Array } | Rejection {
    if (this.#peer !== undefined) return refused("a second Challenge");
    const peer = verified(this.#prover, this.#channel, challenge, nowMs);
    if ("code" in peer) return peer;
    const { ownKey = NO_KEY } = this.#channel ?? {};
    const text = {
      dialler: this.#prover.self,
      listener: peer,
      diallerKey: ownKey,
      listenerKey: keyOf(this.#channel, peer),
      diallerNonce: this.#nonce,
      listenerNonce: challenge.nonce,
      hello,
    };
    const isProved = this.#prover.verifySignature(
      peer,
      proofText("listener", text),
      challenge.signature,
    );
    if (!isProved) return refused("its proof does not verify");
    this.#peer = peer;
    return { signature: this.#prover.sign(proofText("dialler", text)) };
  }

  /** Who was reached, asked when the Welcome says so. */
  proved(claim: Claim): Peer | Rejection {
    const peer = this.#peer;
    if (peer === undefined) return refused(NO_KEYS);
    const wrong = claimProblem(peer, claim);
    return wrong === undefined ? peer : refused(wrong);
  }
}

export type ProofText = {
  readonly dialler: Provable;
  readonly listener: Provable;
  readonly diallerKey: Uint8Array;
  readonly listenerKey: Uint8Array;
  readonly diallerNonce: Uint8Array;
  readonly listenerNonce: Uint8Array;
  readonly hello: Uint8Array;
};

/** The bytes to sign: each part with its length in four bytes, big-endian, in front. */
export const proofText = (role: Role, text: ProofText): Uint8Array => {
  const { dialler, listener } = text;
  return joined([
    utf8(LABEL),
    utf8(role),
    utf8(dialler.mesh),
    utf8(dialler.nodeId),
    utf8(listener.nodeId),
    text.diallerKey,
    text.listenerKey,
    text.diallerNonce,
    text.listenerNonce,
    dialler.certificate,
    listener.certificate,
    text.hello,
  ]);
};

/** The peer's certificate, if it is one and the connection's key is its own. */
const verified = <Peer extends Provable>(
  prover: Prover<Peer>,
  channel: ProofChannel,
  shown: Shown | undefined,
  nowMs: number,
): Peer | Rejection => {
  if (shown === undefined || shown.chain.length === 0) {
    return refused(NO_KEYS);
  }
  if (shown.nonce.length !== PROOF_NONCE_BYTES) {
    return refused(`its nonce has ${shown.nonce.length} B, not ${PROOF_NONCE_BYTES}`);
  }
  const peer = prover.verify(shown.chain, nowMs);
  if ("code" in peer) return refused(peer.message);
  const key = channel?.peerKey;
  if (channel === undefined || key === undefined) return peer;
  const certified = channel.kind === "tls" ? peer.publicKey : peer.curveKey;
  return isSame(key, certified) ? peer : refused("its certificate is not that of its connection");
};

/** The key of the peer's end: as the library says it, else as its certificate does. */
const keyOf = (channel: ProofChannel, peer: Provable): Uint8Array => {
  if (channel === undefined) return NO_KEY;
  return channel.peerKey ?? (channel.kind === "tls" ? peer.publicKey : peer.curveKey);
};

const claimProblem = (peer: Provable, { mesh, service, nodeId }: Claim): string | undefined => {
  if (nodeId !== peer.nodeId)
    return `it says it is node ${nodeId}; its certificate, ${peer.nodeId}`;
  if (service !== peer.service) {
    return `it says it is service "${service}"; its certificate, "${peer.service}"`;
  }
  return mesh === peer.mesh ? undefined : `it says it is in mesh "${mesh}"; its certificate, not`;
};

const refused = (message: string): Rejection => ({ code: UNAUTHORIZED, message });

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

const joined = (parts: readonly Uint8Array[]): Uint8Array => {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + 4 + part.length, 0));
  const view = new DataView(all.buffer);
  let at = 0;
  for (const part of parts) {
    view.setUint32(at, part.length);
    all.set(part, at + 4);
    at += 4 + part.length;
  }
  return all;
};

const isSame = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, at) => byte === b[at]);
