/** One end of a connection of the simulated network; the other end is another of these. */
import { MeshError } from "../errors.ts";
import type { Connection, ConnectionEvents } from "../ports/transport.ts";
import type { Carrier } from "./virtual-path.ts";
import type { VirtualProcess } from "./virtual-process.ts";

/** A frame, or the end of the direction. */
type Parcel = Uint8Array | "end";

export class VirtualConnection implements Connection {
  readonly host: string;
  readonly process: VirtualProcess;
  readonly remote: string;
  readonly #network: Carrier<VirtualConnection>;
  readonly #frameBytesMax: number;
  #peer: VirtualConnection | undefined;
  #events: ConnectionEvents | undefined;
  #early: Parcel[] = [];
  /** Parcels that a blocked path holds. */
  #held: Parcel[] = [];
  #heldBytes = 0;
  /** When the last parcel sent arrives; later ones do not overtake it. */
  #lastArrivalMs = 0;
  #open = true;
  #reported = false;

  constructor(
    network: Carrier<VirtualConnection>,
    host: string,
    process: VirtualProcess,
    remote: string,
    frameBytesMax: number,
  ) {
    this.#network = network;
    this.host = host;
    this.process = process;
    this.remote = remote;
    this.#frameBytesMax = frameBytesMax;
  }

  get peer(): VirtualConnection | undefined {
    return this.#peer;
  }

  get peerHost(): string {
    return this.#peer?.host ?? "";
  }

  get bufferedBytes(): number {
    return this.#open ? this.#heldBytes : 0;
  }

  pair(peer: VirtualConnection): void {
    this.#peer = peer;
  }

  open(events: ConnectionEvents): void {
    this.#events = events;
    const early = this.#early;
    this.#early = [];
    if (early.length === 0) return;
    this.process.post(0, () => {
      for (const parcel of early) this.#take(parcel);
    });
  }

  send(frame: Uint8Array): void {
    if (!this.#open) return;
    if (frame.length === 0 || frame.length > this.#frameBytesMax) {
      const message = `frame ${frame.length} B exceeds frameBytesMax ${this.#frameBytesMax}`;
      this.#network.sendReset(this);
      this.#end(new MeshError("PAYLOAD_TOO_LARGE", message));
      return;
    }
    this.#carry(frame);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#carry("end");
    this.process.post(0, () => this.#report(undefined));
  }

  /** The connection is gone: this side hears of it now. */
  break(why: string): void {
    this.process.enter(() => this.#end(new MeshError("PEER_LOST", why)));
  }

  /** Dialled too late: nobody here wants it. */
  abandon(): void {
    this.#open = false;
    this.#reported = true;
    this.#network.sendReset(this);
    this.#network.forget(this);
  }

  /** The path is open again. */
  release(): void {
    if (this.#held.length === 0) return;
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    for (const parcel of held) this.#carry(parcel);
    if (this.#heldBytes > 0) return;
    this.process.post(0, () => {
      if (this.#open && this.#heldBytes === 0) this.#events?.drained();
    });
  }

  #carry(parcel: Parcel): void {
    const peer = this.#peer;
    if (peer === undefined) return;
    const network = this.#network;
    const path = network.path(this.host, peer.host);
    if (path.blocked > 0 || this.#held.length > 0) {
      this.#held.push(parcel);
      this.#heldBytes += parcel.length;
      return;
    }
    if (parcel !== "end" && network.chance(path.loss)) {
      network.hooks.fault("loss");
      network.sendReset(this);
      this.break("a frame was lost");
      return;
    }
    const delayMs = network.delay(this.host, peer.host);
    const arrivalMs = Math.max(network.time.nowMs + delayMs, this.#lastArrivalMs);
    if (parcel !== "end" && this.#misbehaves(parcel, arrivalMs)) return;
    this.#lastArrivalMs = arrivalMs;
    this.#arrive(parcel, arrivalMs);
  }

  /** Faults that break the port's promise. True when the frame needs no more care. */
  #misbehaves(frame: Uint8Array, arrivalMs: number): boolean {
    const network = this.#network;
    const { silentLoss, duplicate, reorder } = network.path(this.host, this.peerHost);
    if (silentLoss + duplicate + reorder === 0 || !network.hooks.fragile(frame)) return false;
    if (network.chance(silentLoss)) {
      network.hooks.fault("silentLoss");
      return true;
    }
    if (network.chance(duplicate)) {
      network.hooks.fault("duplicate");
      this.#arrive(frame.slice(), arrivalMs + network.delay(this.host, this.peerHost));
    }
    if (network.chance(reorder)) {
      network.hooks.fault("reorder");
      this.#arrive(frame, arrivalMs + 2 * network.delay(this.host, this.peerHost));
      return true;
    }
    return false;
  }

  #arrive(parcel: Parcel, atMs: number): void {
    const peer = this.#peer as VirtualConnection;
    const { time } = this.#network;
    // Not "so long after now": rounding would let frames of one moment overtake one another.
    time.at(atMs, () => {
      if (peer.process.isAlive) peer.process.enter(() => peer.#take(parcel));
      else if (this.#network.isUp(peer.host)) this.#network.sendReset(peer);
    });
  }

  #take(parcel: Parcel): void {
    if (!this.#open) return;
    if (this.#events === undefined) {
      this.#early.push(parcel);
    } else if (parcel === "end") {
      this.#end(undefined);
    } else {
      this.#network.hooks.arrived(this.peerHost, this.host, parcel);
      this.#events.frame(parcel);
    }
  }

  #end(reason: MeshError | undefined): void {
    if (!this.#open) return;
    this.#open = false;
    this.#held = [];
    this.#heldBytes = 0;
    this.process.post(0, () => this.#report(reason));
  }

  #report(reason: MeshError | undefined): void {
    if (this.#reported) return;
    this.#reported = true;
    this.#network.forget(this);
    this.#events?.closed(reason);
  }
}
