/**
 * One connection with a peer: greeting, session, heartbeat, and the frames of one turn gathered.
 *
 * Problem: nothing may be read before both sides know who they are, a silent peer must be noticed, and messages of one
 * turn should share a frame. Approach: a small state machine over the transport's connection; the owner knows what frames mean.
 *
 * Invariants: `closed` is reported exactly once, also when the greeting failed; no frame reaches the owner before `up`;
 * those of another session are dropped and counted; only bulk waits for what is untaken (link-pieces.ts).
 */
import type { MeshError } from "../../errors.ts";
import type { Timer } from "../../ports/clock.ts";
import type { PeerIdentity } from "../../ports/security.ts";
import type { Connection } from "../../ports/transport.ts";
import { BatchWriter } from "../../wire/batch-writer.ts";
import { encodeFrame, type Frame, type OutgoingFrame } from "../../wire/frames.ts";
import type { Identity, RejectFrame } from "../../wire/handshake.ts";
import { type Environment, hybridMerge } from "../environment.ts";
import { BETTER } from "./better-addresses.ts";
import { Greeting, isOfSlow, rejectOf } from "./greeting.ts";
import { handOver } from "./hand-over.ts";
import { CLOSED, peerLost } from "./link-end.ts";
import { ITSELF, type LinkOrigin } from "./link-origin.ts";
import type { LinkOwner } from "./link-owner.ts";
import { LinkPieces } from "./link-pieces.ts";
import { PeerDeclarations } from "./peer-declarations.ts";
import { readFrame } from "./read-frame.ts";
import { Silence } from "./silence.ts";

/** A batch is cut when it reaches this size. */
const BATCH_BYTES = 64 * 1024;

export class Link {
  readonly #env: Environment;
  readonly #owner: LinkOwner<Link>;
  readonly #connection: Connection;
  readonly #silence: Silence;
  readonly #greeting: Greeting<Link>;
  readonly dialled: boolean;
  /** The node the dialler means to reach, or "". */
  readonly target: string;
  readonly address: string;
  readonly scheme: string;
  readonly redirect: boolean;
  /** The node's link to itself. */
  readonly isLocal: boolean;
  /** Where the peer would rather be dialled. */
  better: Pick<RejectFrame, "addresses" | "nodeId"> | undefined;
  /** The peer's certificate has: it finishes what it has, and gets nothing new. */
  expired = false;
  /** What the peer listens to. */
  readonly declared = new PeerDeclarations();
  /** The peer has used up its quota here: no credit, and no request is answered, until it has paid (peer-guard.ts). */
  paced = false;
  /** Bytes of the frame that is being handled. */
  frameBytes = 0;
  readonly batch = new BatchWriter(BATCH_BYTES + 8 * 1024);
  /** What it sends in its session, large frames in pieces. */
  readonly pieces: LinkPieces;
  /** Called before what was gathered leaves: the last chance to add to it. */
  beforeFlush: (() => void) | undefined;
  #state: "new" | "greeting" | "up" | "closed" = "new";
  #session = 0;
  #peer: Identity | undefined;
  #proven: PeerIdentity | undefined;
  #turnAsked = false;
  #timer: Timer | undefined;
  #pingId = 0;
  #heardPing = 0;
  #answered = 0;
  #stalled = false;

  constructor(env: Environment, owner: LinkOwner<Link>, connection: Connection, how: LinkOrigin) {
    this.#env = env;
    this.#owner = owner;
    this.#connection = connection;
    this.#silence = new Silence(env.clock);
    this.pieces = new LinkPieces(env, connection, this);
    this.dialled = how.dialled;
    this.target = how.target;
    this.address = how.address;
    this.scheme = how.scheme;
    this.redirect = how.redirect;
    this.isLocal = how === ITSELF;
    this.#greeting = new Greeting(env, owner, this, connection);
  }

  get isUp(): boolean {
    return this.#state === "up";
  }

  /** Who the peer is; known from the greeting on. */
  get peer(): Identity {
    if (this.#peer === undefined) throw new Error("the link has not greeted yet");
    return this.#peer;
  }

  /** Whom the peer has proved to be; undefined where there are no keys, and of the node's link to itself. */
  get proven(): PeerIdentity | undefined {
    return this.#proven;
  }

  /** The peer has shown a newer certificate. */
  renewed(proven: PeerIdentity): void {
    this.#proven = proven;
  }

  get greeted(): boolean {
    return this.#peer !== undefined;
  }

  /** No bulk now: too many untaken bytes, the peer's event loop is blocked, or its certificate has expired. */
  get congested(): boolean {
    return this.#stalled || this.expired || this.pieces.isFull;
  }

  /** The peer's process lives, its event loop is blocked: no new work for it. */
  get stalled(): boolean {
    return this.#stalled;
  }

  /** The heartbeat that leaves next, and the last one that the peer has answered. */
  get beats(): { readonly next: number; readonly answered: number } {
    return { next: this.#pingId + 1, answered: this.#answered };
  }

  /** Milliseconds since the peer was last heard. */
  silentMs(): number {
    return this.#silence.ms;
  }

  start(patienceMs: number): void {
    this.#state = "greeting";
    this.#open("the peer closed the connection");
    if (this.dialled) this.#connection.send(this.#greeting.hello());
    const late = (): void => this.close("TIMEOUT", `no greeting within ${patienceMs} ms`);
    this.#timer = this.#env.clock.setTimer(patienceMs, late);
  }

  /** A node's link to itself: no greeting is needed. */
  startLocal(self: Identity): void {
    this.#peer = self;
    this.#open("the node stopped");
    this.#session = 1;
    this.#rise();
  }

  #open(over: string): void {
    this.#silence.end();
    this.#connection.open({
      frame: (bytes) => this.#received(bytes),
      drained: () => this.#drained(),
      closed: (reason) => this.#ended(reason ?? peerLost(CLOSED, over)),
    });
  }

  /** Sends at once, before bulk that waits. */
  send(frame: OutgoingFrame): void {
    if (this.#state === "up") this.pieces.send(frame);
  }

  /** Sends a batch that ends with bytes where they are, after what was written before; a copy of them if they may change. */
  sendAlone(head: Uint8Array, bytes: Uint8Array, mayChange = false): void {
    if (this.#state !== "up") return;
    this.#flushBatch();
    if (mayChange) this.pieces.bulkCopy(head, bytes);
    else this.pieces.bulk(head, bytes);
  }

  get session(): number {
    return this.#session;
  }

  /** Asks for `turn` and a flush at the end of this turn of the event loop. */
  askTurn(): void {
    if (this.#turnAsked || this.#state !== "up") return;
    this.#turnAsked = true;
    this.#env.clock.endOfTurn(() => this.#turn());
  }

  /** Sends the batch when it is large enough; the rest leaves at the end of the turn. */
  batchGrew(): void {
    if (this.batch.bytes >= BATCH_BYTES || this.batch.tail !== undefined) this.#flushBatch();
    else this.askTurn();
  }

  /** Says why, then closes. Idempotent. */
  close(code: string, message: string): void {
    if (this.#state === "closed") return;
    if (this.#state === "up") {
      this.#flushBatch();
      this.pieces.end({ type: "bye", session: this.#session, code, message });
    } else if (this.#state === "greeting" && !this.dialled && isOfSlow(code)) {
      this.#connection.send(encodeFrame(rejectOf({ code, message })));
    }
    this.#end(code, `link closed: ${message}`);
  }

  #received(bytes: Uint8Array): boolean {
    if (this.#state === "closed") return true;
    const tooMany = this.#state === "greeting" && bytes.length > this.#greeting.bytesMax;
    const frame = tooMany ? { fault: `${bytes.length} B before a session` } : readFrame(bytes);
    if ("fault" in frame) {
      this.#env.counters.count("link.malformed");
      const fields = { remote: this.#connection.remote, reason: frame.fault };
      this.#env.logger.warn("malformed frame: link closed", fields);
      this.close("MALFORMED", frame.fault);
      return true;
    }
    this.#silence.end();
    this.frameBytes = bytes.length;
    if (this.#state === "greeting") this.#greet(frame, bytes);
    else this.#dispatch(frame);
    return frame.type === "piece"; // nothing of it is kept
  }

  #dispatch(frame: Frame): void {
    if (frame.session !== this.#session) {
      this.#env.counters.count("link.foreignSession");
      return;
    }
    switch (frame.type) {
      case "unknown":
        this.#env.counters.count("link.ignoredFrame");
        return;
      case "bye":
        this.#end(frame.code, `the peer closed the link: ${frame.message}`);
        return;
      case "hello":
      case "welcome":
      case "reject":
      case "challenge":
      case "proof":
        this.close("MALFORMED", `${frame.type} in a running session`);
        return;
      case "piece": {
        const whole = this.pieces.received(frame);
        this.frameBytes = frame.total;
        if (whole !== undefined) this.#dispatch(whole);
        return;
      }
      case "piecesTaken":
        this.pieces.taken(frame.bytes);
        this.#drained();
        return;
      case "ping":
        this.pieces.heard();
        this.#heardPing = frame.id;
        this.#answered = frame.echo;
        hybridMerge(this.#env, frame.time);
        break;
      default:
        break;
    }
    if (handOver(this.#env, this.#owner, this, frame)) return;
    // A node cannot dial itself: its own link stays, and the next heartbeat shows what was missed.
    if (!this.isLocal) this.close("MALFORMED", `${frame.type} could not be handled`);
  }

  #greet(frame: Frame, bytes: Uint8Array): void {
    const step = this.#greeting.take(frame, bytes);
    if (step.next === "fault") {
      this.close("MALFORMED", step.message);
      return;
    }
    if (frame.type === "reject" && frame.code === BETTER && this.redirect) this.better = frame;
    if (step.send !== undefined) this.#connection.send(encodeFrame(step.send));
    if (step.next === "wait") return;
    this.#peer = step.peer;
    if (step.next === "end") {
      this.#end(step.why.code, step.why.message);
      return;
    }
    this.#session = step.session;
    this.#proven = step.proven;
    hybridMerge(this.#env, step.peer.time);
    this.#rise();
  }

  #rise(): void {
    this.#stopTimer();
    this.#state = "up";
    if (!this.isLocal) this.pieces.start(this.peer);
    this.#silence.watch();
    this.#owner.up(this);
    this.#beat();
  }

  /** Heartbeat: says what was sent last and what may come, and watches for silence. */
  #beat(): void {
    if (this.#state !== "up") return;
    const { heartbeatMs, silenceMs } = this.#env.times;
    const { verdict, nextMs } = this.#owner.beats.look(this);
    const stalled = verdict === "stalled";
    // It turns again: its silence counts from now, for what it sends is on its way.
    if (this.#stalled && verdict === "turning") this.#silence.end();
    const isSilent = this.#silence.isLonger(silenceMs, heartbeatMs) && !this.isLocal;
    if (isSilent && !stalled) {
      this.close("TIMEOUT", `nothing heard for ${silenceMs} ms`);
      return;
    }
    if (stalled !== this.#stalled) {
      this.#stalled = stalled;
      this.#owner.stallChanged(this);
    }
    this.#flushBatch(); // what the tails speak of goes first
    if (!this.pieces.beat()) return;
    const { tails, credits } = this.pieces.beaten(this.#owner.heartbeat(this));
    const time = this.#env.hybrid.now(this.#env.clock.wallMs());
    const ids = { id: ++this.#pingId, echo: this.#heardPing };
    this.send({ type: "ping", session: this.#session, ...ids, time, tails, credits });
    this.#timer = this.#env.clock.setTimer(nextMs, () => this.#beat());
  }

  #turn(): void {
    this.#turnAsked = false;
    if (this.#state !== "up") return;
    this.#owner.turn(this);
    this.pieces.turn();
    this.#flushBatch();
  }

  /** The connection, or the peer, took what there was: what waits goes on. */
  #drained(): void {
    if (this.#state !== "up") return;
    this.pieces.pump();
    if (!this.congested) this.#owner.drained(this);
  }

  #flushBatch(): void {
    this.beforeFlush?.();
    if (!this.batch.empty) this.pieces.batch(this.batch);
  }

  #end(code: string, message: string): void {
    this.#connection.close();
    this.#ended(peerLost(code, message));
  }

  #ended(reason: MeshError): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#stopTimer();
    this.#owner.closed(this, reason);
  }

  #stopTimer(): void {
    if (this.#timer !== undefined) this.#env.clock.clearTimer(this.#timer);
    this.#timer = undefined;
  }
}
