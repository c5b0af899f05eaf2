/**
 * The greeting of one link: what is said before there is a session.
 *
 * Problem: nothing of what a stranger says may be acted upon, and with keys both sides must prove who they are
 * before the Hello means anything. Approach: without keys Hello is answered by Welcome or Reject; with keys a
 * Challenge and a Proof come between (core/proof.ts), and only then the owner judges the Hello. A frame gives a
 * step, which the link takes.
 *
 * Invariants: the owner sees no Hello and no Welcome of a peer that has not proved itself, if this node has keys;
 * a node with keys has no session with one without. Bound: `bytesMax` of a frame.
 */
import { DiallerProof, ListenerProof, PROOF_NONCE_BYTES, UNAUTHORIZED } from "../../core/proof.ts";
import type { Rejection } from "../../core/session.ts";
import {
  CERTIFICATE_BYTES_MAX,
  CHAIN_LENGTH_MAX,
  type PeerIdentity,
  type Security,
} from "../../ports/security.ts";
import type { Channel } from "../../ports/transport.ts";
import { encodeFrame, type Frame, type KnownFrame } from "../../wire/frames.ts";
import type { HelloFrame, Identity, RejectFrame, WelcomeFrame } from "../../wire/handshake.ts";
import type { Environment } from "../environment.ts";
import type { LinkOwner, Refusal } from "./link-owner.ts";

/** What comes of a frame. */
export type Step =
  | { readonly next: "wait"; readonly send: KnownFrame }
  | {
      readonly next: "rise";
      readonly send: KnownFrame | undefined;
      readonly peer: Identity;
      readonly proven: PeerIdentity | undefined;
      readonly session: number;
    }
  | {
      readonly next: "end";
      readonly send: KnownFrame | undefined;
      /** Who it is, if that is believed. */
      readonly peer: Identity | undefined;
      readonly why: Rejection;
    }
  /** Not what a peer may send now. */
  | { readonly next: "fault"; readonly message: string };

const HELLO_BYTES = 4_096;
const KEYED_BYTES_MAX = HELLO_BYTES + CHAIN_LENGTH_MAX * CERTIFICATE_BYTES_MAX;
const NO_KEYS = "this node has no keys, and you have: give it some (security.keys)";

export class Greeting<L extends { readonly dialled: boolean }> {
  readonly #env: Environment;
  readonly #owner: LinkOwner<L>;
  readonly #link: L;
  readonly #security: Security | undefined;
  readonly #remote: string;
  readonly #dialler: DiallerProof<PeerIdentity> | undefined;
  readonly #listener: ListenerProof<PeerIdentity> | undefined;
  #hello: HelloFrame | undefined;
  #helloBytes: Uint8Array = new Uint8Array(0);

  constructor(
    env: Environment,
    owner: LinkOwner<L>,
    link: L,
    at: { readonly remote: string; readonly channel?: Channel | undefined },
  ) {
    this.#env = env;
    this.#owner = owner;
    this.#link = link;
    this.#remote = at.remote;
    const security = env.access?.security;
    this.#security = security;
    if (security === undefined) return;
    const nonce = env.random.bytes(PROOF_NONCE_BYTES);
    if (link.dialled) this.#dialler = new DiallerProof<PeerIdentity>(security, at.channel, nonce);
    else this.#listener = new ListenerProof<PeerIdentity>(security, at.channel, nonce);
  }

  /** Largest frame that is read before there is a session. */
  get bytesMax(): number {
    return this.#security === undefined ? this.#env.limits.frameBytesMax : KEYED_BYTES_MAX;
  }

  /** The dialling side's first frame. */
  hello(): Uint8Array {
    const hello = this.#owner.hello(this.#link);
    const shown = this.#dialler?.shown;
    this.#helloBytes = encodeFrame(shown === undefined ? hello : { ...hello, shown });
    return this.#helloBytes;
  }

  take(frame: Frame, bytes: Uint8Array): Step {
    return this.#link.dialled ? this.#answered(frame) : this.#asked(frame, bytes);
  }

  // --- dialling ------------------------------------------------------------------------------

  #answered(frame: Frame): Step {
    switch (frame.type) {
      case "welcome":
        return this.#welcomed(frame);
      case "reject":
        return this.#rejected(frame);
      case "challenge": {
        if (this.#dialler === undefined) return unexpected("Welcome", frame);
        const nowMs = this.#env.clock.wallMs();
        const answer = this.#dialler.answer(frame, this.#helloBytes, nowMs);
        if ("code" in answer) return this.#refuse(answer, undefined);
        return { next: "wait", send: { type: "proof", session: 0, ...answer } };
      }
      default:
        return unexpected("Welcome", frame);
    }
  }

  #welcomed(welcome: WelcomeFrame): Step {
    const { identity: peer, session } = welcome;
    const proven = this.#dialler?.proved(peer);
    if (proven !== undefined && "code" in proven) {
      return this.#refuse(proven, { type: "bye", session, ...proven });
    }
    const rejection = this.#owner.welcomed(this.#link, welcome);
    if (rejection === undefined) return { next: "rise", send: undefined, peer, proven, session };
    return { next: "end", send: { type: "bye", session, ...rejection }, peer, why: rejection };
  }

  #rejected({ code, message }: RejectFrame): Step {
    const why = { code, message: `refused: ${message}` };
    return { next: "end", send: undefined, peer: undefined, why };
  }

  // --- accepting -----------------------------------------------------------------------------

  #asked(frame: Frame, bytes: Uint8Array): Step {
    if (frame.type === "hello" && this.#hello === undefined) return this.#helloed(frame, bytes);
    if (frame.type === "proof" && this.#hello !== undefined) {
      const proven = this.#listener?.proved(frame.signature);
      if (proven === undefined) return unexpected("Hello", frame);
      if ("code" in proven) return this.#refuse(proven, rejectOf(proven));
      return this.#judged(this.#hello, proven);
    }
    this.#env.counters.count("link.notHello");
    return unexpected(this.#hello === undefined ? "Hello" : "Proof", frame);
  }

  #helloed(hello: HelloFrame, bytes: Uint8Array): Step {
    if (this.#listener === undefined) {
      if (hello.shown === undefined) return this.#judged(hello, undefined);
      const why = { code: UNAUTHORIZED, message: NO_KEYS };
      return { next: "end", send: rejectOf(why), peer: hello.identity, why };
    }
    const { identity, shown } = hello;
    const nowMs = this.#env.clock.wallMs();
    const challenge = this.#listener.challenge(identity, shown, bytes, nowMs);
    if ("code" in challenge) return this.#refuse(challenge, rejectOf(challenge));
    this.#hello = hello;
    return { next: "wait", send: { type: "challenge", session: 0, ...challenge } };
  }

  /** The Hello is to be believed: by its proof, or because there are no keys. */
  #judged(hello: HelloFrame, proven: PeerIdentity | undefined): Step {
    const { identity: peer } = hello;
    const verdict = this.#owner.greet(this.#link, hello);
    if (!("type" in verdict)) {
      return { next: "end", send: rejectOf(verdict), peer, why: verdict };
    }
    return { next: "rise", send: verdict, peer, proven, session: verdict.session };
  }

  /** Of nobody knows whom. */
  #refuse(why: Rejection, send: KnownFrame | undefined): Step {
    this.#security?.audit({
      who: undefined,
      action: "join",
      subject: this.#remote,
      allowed: false,
      why: why.message,
    });
    return { next: "end", send, peer: undefined, why };
  }
}

/** An end of a greeting that an honest peer may have brought about by being slow: it is told. */
export const isOfSlow = (code: string): boolean => code === "TIMEOUT" || code === "TOO_MANY";

export const rejectOf = (why: Refusal): RejectFrame => ({
  type: "reject",
  session: 0,
  addresses: [],
  nodeId: "",
  ...why,
});

const unexpected = (wanted: string, frame: Frame): Step => ({
  next: "fault",
  message: `expected ${wanted}, got ${frame.type}`,
});
