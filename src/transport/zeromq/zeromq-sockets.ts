/**
 * The libzmq sockets behind the transport, with every option that the rest relies on.
 *
 * libzmq reports the end of a connection only through its monitor, out of order with the data and without
 * saying which peer of a ROUTER it was. Three raw options put that news into the stream of messages itself:
 * - ROUTER_NOTIFY (connect): `[id, ""]` is the first message of a new peer;
 * - DISCONNECT_MSG (ROUTER) and HICCUP_MSG (DEALER): a message of our choosing is the last one of a
 *   connection, also after SIGKILL of the peer, and it is not subject to the high-water mark. It is 16
 *   random bytes of this socket, so no peer can forge it.
 *
 * A ZAP domain is set although nobody need answer for it: with one, libzmq refuses ZMTP 1 and 2, whose
 * handshake has no time limit (any byte but 0xff, an HTTP request say, begins it). With keys the mechanism is CURVE
 * and the domain is enforced: without a handler (zap-handler.ts) nobody gets in.
 *
 * No socket ever reconnects: the interval is a day, and the socket is closed at the hiccup.
 */
import { randomBytes } from "node:crypto";
import { Dealer, type Observer, Router } from "zeromq";

/** ZMQ_ROUTER_NOTIFY, ZMQ_DISCONNECT_MSG, ZMQ_HICCUP_MSG: not named by zeromq.js. */
const ROUTER_NOTIFY = 97;
const NOTIFY_CONNECT = 1;
const DISCONNECT_MSG = 111;
const HICCUP_MSG = 114;

/** Of sockets without keys. */
export const PLAIN_DOMAIN = "meshbus";
const DAY_MS = 86_400_000;
const GONE_BYTES = 16;

export type SocketLimits = {
  readonly frameBytesMax: number;
  /** Frames of ours that libzmq may hold for one connection before it refuses more. */
  readonly sendFramesMax: number;
  /** Frames of one peer that libzmq may hold before it stops reading from it. */
  readonly receiveFramesMax: number;
  readonly handshakeTimeoutMs: number;
  readonly ipv6: boolean;
};

/** A key pair of CURVE, Z85. */
export type CurveKeys = { readonly publicKey: string; readonly secretKey: string };

function socketOptions(limits: SocketLimits) {
  return {
    linger: 0,
    sendTimeout: 0,
    maxMessageSize: limits.frameBytesMax,
    sendHighWaterMark: limits.sendFramesMax,
    receiveHighWaterMark: limits.receiveFramesMax,
    handshakeInterval: limits.handshakeTimeoutMs,
    ipv6: limits.ipv6,
    zapDomain: PLAIN_DOMAIN,
  };
}

/** A DEALER for one connection. It sets no routing id: the ROUTER gives one. */
export class DialSocket extends Dealer {
  static create(
    limits: SocketLimits,
    curve: (CurveKeys & { readonly serverKey: string }) | undefined,
  ): { socket: Dealer; gone: GoneMessage } {
    const gone = new GoneMessage();
    const options = { ...socketOptions(limits), reconnectInterval: DAY_MS };
    const socket = new DialSocket({
      ...options,
      ...(curve === undefined ? {} : client(limits, curve)),
    });
    socket.setStringOption(HICCUP_MSG, gone.bytes);
    return { socket, gone };
  }
}

/** The ROUTER of one listener. `mandatory` makes it refuse instead of dropping silently. */
export class ListenSocket extends Router {
  static create(
    limits: SocketLimits,
    curve: (CurveKeys & { readonly domain: string }) | undefined,
  ): { socket: Router; gone: GoneMessage } {
    const gone = new GoneMessage();
    const options = { ...socketOptions(limits), mandatory: true, handover: false };
    const socket = new ListenSocket({
      ...options,
      ...(curve === undefined ? {} : server(limits, curve)),
    });
    socket.setInt32Option(ROUTER_NOTIFY, NOTIFY_CONNECT);
    socket.setStringOption(DISCONNECT_MSG, gone.bytes);
    return { socket, gone };
  }
}

/** What CURVE adds to a message: libzmq's limit is on what travels. RFC 26: a name, a nonce, a seal and a flag. */
const CURVE_BYTES = 33;

const client = (limits: SocketLimits, curve: CurveKeys & { readonly serverKey: string }) => ({
  maxMessageSize: limits.frameBytesMax + CURVE_BYTES,
  curvePublicKey: curve.publicKey,
  curveSecretKey: curve.secretKey,
  curveServerKey: curve.serverKey,
});

const server = (limits: SocketLimits, curve: CurveKeys & { readonly domain: string }) => ({
  maxMessageSize: limits.frameBytesMax + CURVE_BYTES,
  curveServer: true,
  curveSecretKey: curve.secretKey,
  zapDomain: curve.domain,
  zapEnforceDomain: true,
});

/** The message that libzmq puts at the end of a connection. */
export class GoneMessage {
  readonly bytes: Buffer = randomBytes(GONE_BYTES);

  matches(message: Uint8Array): boolean {
    return message.length === GONE_BYTES && this.bytes.equals(message);
  }
}

/** Reads monitor events until the socket is closed and libzmq has let go of it. */
export async function watchSocket(
  events: Observer,
  each: (event: { type: string; error?: unknown }) => void,
): Promise<void> {
  try {
    while (!events.closed) each(await events.receive());
  } catch (error) {
    if (!events.closed) throw error;
  }
}

/**
 * Reads messages until the socket is closed. zeromq.js resolves up to 512 messages without leaving the
 * turn and then lets timers and other sockets run, so a flood starves nobody.
 */
export async function readSocket(
  socket: Dealer | Router,
  each: (parts: Buffer[]) => void,
): Promise<void> {
  try {
    while (!socket.closed) each(await socket.receive());
  } catch (error) {
    if (!socket.closed) throw error;
  }
}
