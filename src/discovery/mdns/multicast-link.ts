/**
 * One interface's socket: multicast-dns bound so that it really hears multicast.
 *
 * The traps it knows: `interface` without `bind: "0.0.0.0"` hears nothing on Linux; the library decodes
 * every packet before anyone can object, so our own socket is handed to it and each packet is judged
 * first; exceptions in its listeners would end the process; a membership that could not be joined must
 * not let packets leave through another interface, so the outgoing one is set before anything else.
 *
 * Invariants: never throws after construction; reports every failure through `failed`; after `close`
 * nothing is reported and nothing holds the process.
 */
import type { Socket } from "node:dgram";
import { createSocket } from "node:dgram";
import type { MulticastDNS } from "multicast-dns";
import multicastDns from "multicast-dns";
import { readPacket, writeQuestions, writeRecords } from "./dns-packet-codec.ts";
import type { DnsMessage, DnsQuestion, DnsRecord } from "./dns-record.ts";
import type { MulticastInterface } from "./multicast-interface.ts";

export type Sender = { readonly address: string; readonly port: number };

export type OutgoingMessage = {
  readonly kind: "query" | "response";
  readonly id?: number;
  readonly questions?: readonly DnsQuestion[];
  readonly answers: readonly DnsRecord[];
  readonly additionals?: readonly DnsRecord[];
};

export type MulticastLinkEvents = {
  /** Judges raw bytes; false drops them undecoded. */
  admit(packet: Buffer, sender: Sender): boolean;
  message(message: DnsMessage, sender: Sender): void;
  /** An admitted packet could not be decoded. */
  malformed(): void;
  /** Something failed. `fatal`: this link will never work and should be closed and opened again. */
  failed(error: Error, fatal: boolean): void;
};

const AUTHORITATIVE = 1 << 10;

export class MulticastLink {
  readonly interface: MulticastInterface;
  readonly #library: MulticastDNS;
  readonly #events: MulticastLinkEvents;
  #closed = false;
  /** The packet being handed to the library, to tell its decoding errors from socket errors. */
  #decoding = false;

  constructor(from: MulticastInterface, port: number, events: MulticastLinkEvents) {
    this.interface = from;
    this.#events = events;
    const socket = this.#guarded(createSocket({ type: "udp4", reuseAddr: true }));
    this.#library = multicastDns({ socket, port, interface: from.address, bind: "0.0.0.0" });
    this.#library.on("error", (error: Error) => this.#fail(error, true));
    this.#library.on("warning", (error: Error) => {
      if (this.#decoding) events.malformed();
      else this.#fail(error, false);
    });
    this.#library.on("packet", (packet: Parameters<typeof readPacket>[0], sender: Sender) => {
      if (!this.#closed) events.message(readPacket(packet), sender);
    });
  }

  /** Sends to the group, or to one receiver. Resolves when the system took it or refused it. */
  send(message: OutgoingMessage, to?: Sender): Promise<void> {
    if (this.#closed) return Promise.resolve();
    const response = message.kind === "response";
    const packet = {
      type: message.kind,
      id: message.id ?? 0,
      flags: response ? AUTHORITATIVE : 0,
      questions: writeQuestions(message.questions ?? []),
      answers: writeRecords(message.answers),
      additionals: writeRecords(message.additionals ?? []),
    };
    return new Promise((resolve) => {
      const done = (error: Error | null): void => {
        // One asker that cannot be reached says nothing about multicast.
        if (error instanceof Error && to === undefined) this.#fail(error, false);
        resolve();
      };
      if (response) this.#library.respond(packet, to, done);
      else this.#library.query(packet, to, done);
    });
  }

  /** Closes the socket. Idempotent. */
  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#closed = true;
    return new Promise((resolve) => {
      try {
        this.#library.destroy(resolve);
      } catch {
        // A socket that never came up is already closed.
        resolve();
      }
    });
  }

  /** Puts a judge before, and a net under, every listener of the socket. */
  #guarded(socket: Socket): Socket {
    const emit = socket.emit.bind(socket) as (event: string, ...values: unknown[]) => boolean;
    const guarded = (event: string, ...values: unknown[]): boolean => {
      try {
        if (event === "listening") socket.setMulticastInterface(this.interface.address);
        if (event !== "message") return emit(event, ...values);
        const [packet, sender] = values as [Buffer, Sender];
        if (this.#closed || !this.#events.admit(packet, sender)) return false;
        this.#decoding = true;
        return emit(event, ...values);
      } catch (error) {
        const fault = error instanceof Error ? error : new Error(String(error));
        this.#fail(fault, event === "listening");
        return false;
      } finally {
        if (event === "message") this.#decoding = false;
      }
    };
    socket.emit = guarded as Socket["emit"];
    return socket;
  }

  #fail(error: Error, fatal: boolean): void {
    if (!this.#closed) this.#events.failed(error, fatal);
  }
}
