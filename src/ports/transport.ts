/**
 * The transport port: frames in, frames out, over connections.
 *
 * A connection delivers whole frames in order or closes; it never re-opens by itself, never drops a
 * frame silently and never hands frames of an earlier connection to a later one. Identity, sessions,
 * flow control and heartbeats live above it.
 */
import type { MeshError } from "../errors.ts";
import type { Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";
import type { Security } from "./security.ts";

export type ConnectionEvents = {
  /**
   * One whole frame. The bytes belong to the receiver and stay valid for as long as it holds them; `true` says that it
   * keeps none, and that their memory may be used again.
   */
  frame(bytes: Uint8Array): unknown;
  /** `bufferedBytes` fell to zero after having been above it. */
  drained(): void;
  /** Exactly once, after which no other event comes. `reason` is absent for an orderly close. */
  closed(reason?: MeshError): void;
};

/** How a connection is protected, and which keys its ends have shown that they hold. */
export type Channel = {
  readonly kind: "tls" | "curve";
  /** This end's public key. TLS: that of the certificate, SPKI, DER. CURVE: 32 B. */
  readonly ownKey: Uint8Array;
  /** The other end's. Undefined where the library does not say: a listener of ZeroMQ. */
  readonly peerKey: Uint8Array | undefined;
};

export interface Connection {
  /** Where the peer is, for logs only; never an identity. */
  readonly remote: string;
  /** Absent: frames travel as they are. */
  readonly channel?: Channel | undefined;
  /** Bytes given to `send` that the operating system or the library has not taken yet. */
  readonly bufferedBytes: number;
  /**
   * Sends one frame and takes ownership of the bytes: the caller must not change them afterwards.
   * Never throws, never blocks; frames sent after `closed` are discarded. The caller watches `bufferedBytes`.
   */
  send(frame: Uint8Array): void;
  /**
   * As `send`, of one frame whose bytes lie in several places. Only where that saves a copy; a transport that needs them
   * in one place leaves it out. A part may go to other connections as well: nobody changes it.
   */
  sendParts?(parts: readonly Uint8Array[]): void;
  /**
   * As `sendParts`, but the parts are copied before it returns: their owners may change them. Only where the copy's memory
   * is used again, which makes it cheaper than a frame of its own; of up to some 256 KiB.
   */
  sendCopy?(parts: readonly Uint8Array[]): void;
  /** Reads no more until `resume`: what the peer sends waits at its end. What was read before may still come. */
  pause?(): void;
  resume?(): void;
  /**
   * Closes in order: frames already given to `send` are delivered if the peer reads on, for a time that the
   * transport states (500 ms; gRPC 2 s). Idempotent.
   */
  close(): void;
  /** Installs the receiver of events. Called exactly once, synchronously when the connection is handed over. */
  open(events: ConnectionEvents): void;
}

export type ListenOptions = {
  readonly host: string;
  /** 0 asks for a free port. */
  readonly port: number;
};

export interface Listener {
  /** The full address peers may dial, with the real port and, over CURVE, the key: "zmq://127.0.0.1:41234". */
  readonly address: string;
  /**
   * Where else it is, of one on every interface whose transport cannot say where a caller is: else the other end puts
   * the host that it sees in the place of the wildcard.
   */
  readonly alsoAt?: readonly string[];
  close(): Promise<void>;
}

/** Sees to large memory that is soon garbage. */
export type Garbage = {
  /** So many bytes were given to somebody who may keep them. */
  made(bytes: number): void;
};

export type TransportContext = {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Largest frame either side may send; a larger one closes the connection without being read into memory. */
  readonly frameBytesMax: number;
  /** Told of each large frame whose memory the receiver keeps. */
  readonly garbage?: Garbage | undefined;
  /** Counts something that went wrong, by name: "transport.malformed". */
  count(name: string): void;
  /** The node's keys. With them every listener and dial is protected; absent: none is. */
  readonly security?: Security | undefined;
};

export interface Transport {
  /** Address scheme without "://": "zmq". */
  readonly scheme: string;
  /** Larger is better; a pair uses the best both have. */
  readonly preference: number;
  /**
   * Whether an address of this scheme may lead anywhere from here: one that names a file of another host does not. Absent:
   * all may.
   */
  reaches?(address: string): boolean;
  /** Called once before anything else. */
  start(context: TransportContext): Promise<void>;
  /** @throws MeshError ADDRESS_IN_USE, INVALID_OPTIONS */
  listen(options: ListenOptions, accept: (connection: Connection) => void): Promise<Listener>;
  /**
   * Starts connecting. Resolves when the connection is up (both sides can send).
   * @throws MeshError PEER_LOST when it cannot be reached within `timeoutMs` (details.refused: true when its host
   *   answered that nobody listens there), ABORTED when the signal fired, UNAUTHORIZED when one side has keys and the
   *   other none, or the address lacks the key it needs.
   */
  dial(address: string, options: { timeoutMs: number; signal?: AbortSignal }): Promise<Connection>;
  /** Closes every connection and listener and frees the library. Idempotent. */
  stop(): Promise<void>;
}
