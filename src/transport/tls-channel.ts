/**
 * TLS under a transport: 1.3 only, both sides show the certificate of their node, and trust the mesh's authorities.
 *
 * Problem: certificates are renewed and authorities change while listeners stay; a peer may begin a handshake and
 * never end it; a name of a host says nothing about a node. Approach: a TLS server that listens nowhere is given
 * the sockets of a plain listener, which stay in that listener's hands; its certificate is asked for anew after
 * each change. No host name is checked: the certificate must be one of this mesh, and the greeting above proves
 * which node it is.
 *
 * Bounds: HANDSHAKE_MS for a handshake; of more than PENDING_MAX sockets of one address, or PENDING_ALL_MAX of all,
 * in their handshakes the oldest is cut. STARTS handshakes begin in a second, since the first bytes of a stranger cost a
 * signature: the rest waits its turn, one address after the other, so that nobody waits for them.
 * Source: RFC 8446; docs of node:tls ("connection" may be emitted by users).
 */
import type { Socket } from "node:net";
import {
  type ConnectionOptions,
  createServer,
  type TLSSocket,
  type Server as TlsServer,
  connect as tlsConnect,
} from "node:tls";
import { FairStarts } from "../core/fair-starts.ts";
import { PendingPeers } from "../core/pending-peers.ts";
import { MeshError } from "../errors.ts";
import type { Timer } from "../ports/clock.ts";
import type { Security } from "../ports/security.ts";
import type { Channel, TransportContext } from "../ports/transport.ts";
import { notReached } from "./not-reached.ts";

const HANDSHAKE_MS = 5_000;
/**
 * Of one listener, each about two milliseconds of the event loop: what a host full of nodes needs to start, and what
 * one that begins again and again may cost, less than a hundredth of the time.
 */
const STARTS = {
  all: { perSecond: 200, burst: 2 },
  each: { perSecond: 4, burst: 32 },
} as const;
const VERSIONS = { minVersion: "TLSv1.3", maxVersion: "TLSv1.3" } as const;
/** What a peer says when it does not take our certificate. */
const REFUSED = /^ERR_SSL_.*ALERT_/;
/** What a socket says whose other end does not speak TLS. */
const NOT_TLS = /WRONG_VERSION_NUMBER|ERR_SSL_HTTP_REQUEST|ERR_SSL_PACKET_LENGTH_TOO_LONG/;

/** The accepting side, for the sockets of one listener. */
export class TlsAcceptor {
  readonly #context: TransportContext;
  readonly #security: Security;
  readonly #server: TlsServer;
  readonly #pending = new PendingPeers<string, Socket>((socket) => void socket.destroy());
  readonly #unlisten: () => void;
  /** Whose handshake has not begun. */
  readonly #starts = new FairStarts<Socket>(STARTS);
  #timer: Timer | undefined;

  /** `secured` is called once for each socket whose handshake ended well. */
  constructor(
    context: TransportContext,
    security: Security,
    protocol: string | undefined,
    secured: (socket: TLSSocket, channel: Channel) => void,
  ) {
    this.#context = context;
    this.#security = security;
    const { cert, key, ca } = security.tls();
    this.#server = createServer({
      ...VERSIONS,
      cert,
      key,
      ca: [...ca],
      requestCert: true,
      rejectUnauthorized: true,
      handshakeTimeout: HANDSHAKE_MS,
      ...(protocol === undefined ? {} : { ALPNProtocols: [protocol] }),
    });
    this.#server.on("secureConnection", (socket) => {
      this.#pending.done(nameOf(socket));
      this.#secured(socket, secured);
    });
    this.#server.on("tlsClientError", (error, socket) => this.#refused(error, socket));
    this.#unlisten = security.onChange(() => this.#renew());
  }

  /** Begins the handshake over a socket that a peer has opened. */
  take(socket: Socket): void {
    const name = nameOf(socket);
    const from = socket.remoteAddress ?? "";
    if (this.#pending.add(name, from, socket)) {
      this.#context.count("transport.handshakesCut");
    }
    socket.once("close", () => {
      this.#pending.done(name);
      this.#starts.remove(from, socket);
    });
    socket.on("error", () => {}); // its close says it
    this.#starts.add(from, socket);
    if (this.#timer === undefined) this.#begin();
  }

  close(): void {
    this.#unlisten();
    if (this.#timer !== undefined) this.#context.clock.clearTimer(this.#timer);
    this.#pending.cutAll();
  }

  /** Begins as many handshakes as may begin now. */
  #begin(): void {
    const { clock } = this.#context;
    for (;;) {
      const next = this.#starts.next(clock.monotonicMs());
      if (next === undefined) return;
      if ("waitMs" in next) {
        this.#timer = clock.setTimer(Math.ceil(next.waitMs), () => {
          this.#timer = undefined;
          this.#begin();
        });
        return;
      }
      if (!next.item.destroyed) this.#server.emit("connection", next.item);
    }
  }

  #secured(socket: TLSSocket, secured: (socket: TLSSocket, channel: Channel) => void): void {
    const channel = channelOf(socket, this.#security);
    if (channel !== undefined) {
      secured(socket, channel);
      return;
    }
    this.#deny(socket, "the certificate is of no node of this mesh");
    socket.on("error", () => {});
    socket.destroy();
  }

  #refused(error: Error & { readonly code?: string }, socket: TLSSocket): void {
    socket.on("error", () => {});
    // Who only looks whether somebody listens leaves without a word, and is nobody.
    if (NOT_TLS.test(error.code ?? "")) this.#deny(socket, "it has no keys: it speaks without TLS");
    else if (socket.authorizationError) this.#deny(socket, String(socket.authorizationError));
    else if (error.code !== "ECONNRESET") this.#deny(socket, error.message);
    socket.destroy();
  }

  #deny(socket: TLSSocket, why: string): void {
    this.#context.count("transport.malformed");
    const subject = nameOf(socket);
    this.#security.audit({ who: undefined, action: "join", subject, allowed: false, why });
  }

  #renew(): void {
    const { cert, key, ca } = this.#security.tls();
    this.#server.setSecureContext({ ...VERSIONS, cert, key, ca: [...ca] });
  }
}

/** What a dialling socket is told beside where to go. */
export const tlsDialOptions = (security: Security, protocol?: string): ConnectionOptions => {
  const { cert, key, ca } = security.tls();
  return {
    ...VERSIONS,
    cert,
    key,
    ca: [...ca],
    rejectUnauthorized: true,
    // The chain is checked; which node it is, `secured` and the greeting check.
    checkServerIdentity: () => undefined,
    ...(protocol === undefined ? {} : { ALPNProtocols: [protocol] }),
  };
};

/** The dialling side over a socket that is connected. Resolves when the peer's certificate was accepted. */
export const secureOver = async (
  socket: Socket,
  security: Security,
  address: string,
  protocol?: string,
): Promise<{ readonly socket: TLSSocket; readonly channel: Channel }> => {
  const secure = tlsConnect({ socket, ...tlsDialOptions(security, protocol) });
  return { socket: secure, channel: await secured(secure, security, address) };
};

/** @throws MeshError PEER_LOST, UNAUTHORIZED */
export const secured = (socket: TLSSocket, security: Security, address: string): Promise<Channel> =>
  new Promise((resolve, reject) => {
    const failed = (cause: Error): void => reject(dialError(cause, address));
    const closed = (): void => failed(new Error("the connection was closed in its handshake"));
    socket.once("error", failed);
    socket.once("close", closed);
    socket.once("secureConnect", () => {
      socket.removeListener("error", failed);
      socket.removeListener("close", closed);
      const channel = channelOf(socket, security);
      if (channel !== undefined) {
        resolve(channel);
        return;
      }
      socket.on("error", () => {});
      socket.destroy();
      const message = `${address} shows a certificate of no node of mesh "${security.self.mesh}"`;
      reject(new MeshError("UNAUTHORIZED", message));
    });
  });

/** Why a secured connection broke: the peer says in an alert that it does not take this node's certificate. */
export const isRefusedCertificate = (cause: unknown): boolean =>
  REFUSED.test(String((cause as { code?: unknown } | undefined)?.code ?? ""));

const dialError = (cause: Error & { readonly code?: string }, address: string): MeshError => {
  const code = cause.code ?? "";
  if (NOT_TLS.test(`${code} ${cause.message}`)) {
    const message = `${address} answers without TLS: it has no keys, and this node has`;
    return new MeshError("UNAUTHORIZED", message, { cause });
  }
  const isCertificate = /CERT|ISSUER|SIGNATURE/.test(code) || REFUSED.test(code);
  if (!isCertificate) return notReached(address, cause);
  const message = `${address} and this node do not trust each other: ${cause.message}`;
  return new MeshError("UNAUTHORIZED", message, { cause });
};

/** Undefined: what the peer shows is no certificate of a node of this mesh. */
const channelOf = (socket: TLSSocket, security: Security): Channel | undefined => {
  const certificate = socket.getPeerX509Certificate();
  const names = certificate?.subjectAltName ?? "";
  if (certificate === undefined) return undefined;
  if (!names.startsWith(`URI:meshbus://${security.self.mesh}/`)) return undefined;
  const peerKey = certificate.publicKey.export({ type: "spki", format: "der" });
  return { kind: "tls", ownKey: security.self.publicKey, peerKey };
};

const nameOf = ({ remoteAddress = "unknown", remotePort = 0 }: Socket): string =>
  `${remoteAddress}:${remotePort}`;
