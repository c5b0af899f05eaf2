/** What a link asks of its owner, and tells it. */
import type { Rejection } from "../../core/session.ts";
import type { MeshError } from "../../errors.ts";
import type { PingFrame } from "../../wire/credit.ts";
import type { KnownFrame } from "../../wire/frames.ts";
import type { HelloFrame, RejectFrame, WelcomeFrame } from "../../wire/handshake.ts";
import type { Beats } from "./beats.ts";

/** Why a Hello is rejected, and where else to dial. */
export type Refusal = Rejection & Partial<Pick<RejectFrame, "addresses" | "nodeId">>;

/** What is said in a session and is not the link's own. */
export type SessionFrame = Exclude<
  KnownFrame,
  {
    readonly type:
      | "hello"
      | "welcome"
      | "reject"
      | "challenge"
      | "proof"
      | "bye"
      | "piece"
      | "piecesTaken";
  }
>;

export interface LinkOwner<Link> {
  /** The dialling side's first frame. */
  hello(link: Link): HelloFrame;
  /** The accepting side judges a Hello: the Welcome to answer, or why not. */
  greet(link: Link, hello: HelloFrame): WelcomeFrame | Refusal;
  /** The dialling side judges a Welcome. */
  welcomed(link: Link, welcome: WelcomeFrame): Rejection | undefined;
  /** The session is up; frames may be sent and will come. */
  up(link: Link): void;
  frame(link: Link, frame: SessionFrame): void;
  readonly beats: Beats;
  /** The peer is stalled now, or not any more. */
  stallChanged(link: Link): void;
  /** Adds tails and credits to a heartbeat. */
  heartbeat(link: Link): Pick<PingFrame, "tails" | "credits">;
  /** Before the frames of this turn leave: the last chance to add some. */
  turn(link: Link): void;
  /** The connection took everything: bulk may go on. */
  drained(link: Link): void;
  closed(link: Link, reason: MeshError): void;
}

/** The frames of running sessions, handled by the node's runtime. */
export type FrameOwner<L> = Pick<LinkOwner<L>, "frame" | "heartbeat" | "turn" | "drained">;
