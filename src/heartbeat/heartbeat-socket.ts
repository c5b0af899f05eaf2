/**
 * Asks peers and answers them, on one UDP socket, in the heartbeat thread.
 *
 * Problem: whether a process lives must be known while its event loop is blocked, whatever strangers send to the
 * port, and without a connection for each pair of nodes. Approach: every interval one question to each peer (to one that
 * is heard otherwise, every few), of 80 bytes; whoever it is for answers with as many. There is no state that a stranger could fill: a datagram is
 * a whole, sealed one of a watched peer, newer than the last of its kind, or it is counted and gone.
 *
 * Rejected: TCP. A stranger who holds connections open takes the places of peers, half a frame has to be waited
 * for, and a mesh of n nodes needs n(n-1) more connections. A lost datagram costs one interval.
 *
 * Bound: the watched peers. An answer goes to where the question came from and is not larger than it.
 */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { EASED_BEATS } from "../core/stall.ts";
import { type HeartbeatDatagram, readDatagram, writeDatagram } from "../wire/heartbeat-datagram.ts";
import { isSealed, seal, sealKey } from "./datagram-seal.ts";
import { nowUs, type PulseBoard } from "./pulse-board.ts";
import { formatUdpAddress, parseUdpAddress, type UdpAddress } from "./udp-address.ts";

type Watched = {
  readonly slot: number;
  readonly nodeId: string;
  readonly address: UdpAddress;
  readonly keyOut: Uint8Array;
  readonly keyIn: Uint8Array;
  /** Where to send; undefined until its name is resolved. */
  host: string | undefined;
  lookupUs: bigint;
  heardUs: bigint;
  /** When the newest question that it answered left, and the newest of its own. */
  answeredUs: bigint;
  askedUs: bigint;
  closely: boolean;
};

/** A name is looked up again after this while its node is not heard. */
const LOOKUP_US = 5_000_000n;

export class HeartbeatSocket {
  readonly #nodeId: string;
  readonly #nonce: Uint8Array;
  readonly #board: PulseBoard;
  readonly #intervalMs: number;
  readonly #peers = new Map<string, Watched>();
  #socket: Socket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #beats = 0;

  constructor(
    self: { readonly nodeId: string; readonly nonce: Uint8Array },
    board: PulseBoard,
    intervalMs: number,
  ) {
    this.#nodeId = self.nodeId;
    this.#nonce = self.nonce;
    this.#board = board;
    this.#intervalMs = intervalMs;
  }

  /** Binds the port, or a free one where it is taken, and begins. @throws the system's error */
  async open({ host, port }: UdpAddress): Promise<string> {
    const numeric = isIP(host) === 0 ? (await lookup(host)).address : host;
    const socket = await bind(numeric, port).catch((error: unknown) => {
      if (port === 0) throw error;
      return bind(numeric, 0);
    });
    socket.on("message", (bytes, from) => this.#received(bytes, from));
    this.#socket = socket;
    this.#timer = setInterval(() => this.#askDue(), this.#intervalMs);
    return formatUdpAddress({ host: numeric, port: socket.address().port });
  }

  /** Nothing is asked where the address is none. */
  watch(peer: {
    readonly slot: number;
    readonly nodeId: string;
    readonly nonce: Uint8Array;
    readonly address: string;
  }): void {
    const address = parseUdpAddress(peer.address);
    if (address === undefined) {
      this.#board.count("heartbeat.malformed");
      return;
    }
    this.#peers.set(peer.nodeId, {
      slot: peer.slot,
      nodeId: peer.nodeId,
      address,
      keyOut: sealKey(this.#nonce, peer.nonce),
      keyIn: sealKey(peer.nonce, this.#nonce),
      host: isIP(address.host) === 0 ? undefined : address.host,
      lookupUs: 0n,
      heardUs: 0n,
      answeredUs: 0n,
      askedUs: 0n,
      closely: true,
    });
  }

  attend(slot: number, closely: boolean): void {
    for (const peer of this.#peers.values()) {
      if (peer.slot !== slot) continue;
      peer.closely = closely;
      if (closely) this.#ask(peer);
    }
  }

  unwatch(slot: number): void {
    for (const [nodeId, peer] of this.#peers) if (peer.slot === slot) this.#peers.delete(nodeId);
    this.#board.clear(slot);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#socket?.close();
    this.#socket = undefined;
  }

  #askDue(): void {
    // A loop that is blocked reads no links: others may have fallen silent on them.
    const isBlocked = this.#board.lagMs(this.#intervalMs) > this.#intervalMs;
    this.#beats++;
    for (const peer of this.#peers.values()) {
      const isTurn = (this.#beats + peer.slot) % EASED_BEATS === 0;
      if (peer.closely || isBlocked || isTurn) this.#ask(peer);
    }
  }

  #ask(peer: Watched): void {
    const sentUs = nowUs();
    if (isIP(peer.address.host) === 0) this.#lookUp(peer, sentUs);
    if (peer.host === undefined) return;
    const to = { address: peer.host, port: peer.address.port };
    this.#send(peer, { kind: "question", lagMs: 0, sentUs }, to);
  }

  /** A name may come to mean another address while its node moves. */
  #lookUp(peer: Watched, now: bigint): void {
    const isHeard = peer.host !== undefined && now - peer.heardUs < LOOKUP_US;
    if (isHeard || now - peer.lookupUs < LOOKUP_US) return;
    peer.lookupUs = now;
    lookup(peer.address.host).then(
      ({ address }) => {
        peer.host = address;
      },
      () => this.#board.count("heartbeat.sendFailed"),
    );
  }

  #received(bytes: Uint8Array, from: RemoteInfo): void {
    const datagram = readDatagram(bytes);
    if (datagram === undefined) {
      this.#board.count("heartbeat.malformed");
      return;
    }
    const peer = this.#peers.get(datagram.from);
    if (peer === undefined || datagram.to !== this.#nodeId) this.#board.count("heartbeat.stranger");
    else if (!isSealed(bytes, peer.keyIn)) this.#board.count("heartbeat.forged");
    else if (datagram.kind === "question") this.#answer(peer, datagram, from);
    else this.#answered(peer, datagram);
  }

  #answer(peer: Watched, { sentUs }: HeartbeatDatagram, from: RemoteInfo): void {
    if (sentUs <= peer.askedUs) {
      this.#board.count("heartbeat.stale");
      return;
    }
    peer.askedUs = sentUs;
    const lagMs = this.#board.lagMs(this.#intervalMs);
    this.#send(peer, { kind: "answer", lagMs, sentUs }, from);
  }

  #answered(peer: Watched, { sentUs, lagMs }: HeartbeatDatagram): void {
    const now = nowUs();
    if (sentUs <= peer.answeredUs || sentUs > now) {
      this.#board.count("heartbeat.stale");
      return;
    }
    peer.answeredUs = sentUs;
    peer.heardUs = now;
    this.#board.heard(peer.slot, sentUs, lagMs);
  }

  #send(
    peer: Watched,
    what: Pick<HeartbeatDatagram, "kind" | "lagMs" | "sentUs">,
    to: { readonly address: string; readonly port: number },
  ): void {
    const bytes = writeDatagram({ ...what, from: this.#nodeId, to: peer.nodeId });
    this.#socket?.send(seal(bytes, peer.keyOut), to.port, to.address, this.#sent);
  }

  readonly #sent = (error: Error | null): void => {
    if (error !== null) this.#board.count("heartbeat.sendFailed");
  };
}

const bind = (host: string, port: number): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const family = isIP(host) === 6 ? 6 : 4;
    // Where datagrams go is a number by then: each would pass through the resolver, and wait a tick for it.
    const socket = createSocket({
      type: `udp${family}`,
      lookup: (number, _options, done) => done(null, number, family),
    });
    const failed = (error: Error): void => {
      socket.close();
      reject(error);
    };
    socket.once("error", failed);
    socket.bind({ address: host, port, exclusive: true }, () => {
      socket.removeListener("error", failed);
      resolve(socket);
    });
  });
