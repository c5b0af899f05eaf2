/**
 * Whom libzmq lets in: the ZAP handler of this process.
 *
 * Problem: CURVE without a ZAP handler admits any key; the handler is one endpoint for all sockets of a process; and
 * libzmq shows it the key of a connection, never the connection of a key. Approach: one handler, opened before the
 * first listener with keys is bound and closed after the last, which asks the listener that the domain names. It
 * admits any well-formed key that is not known as revoked, at most so many a second from one address: who the peer is, its
 * greeting proves. Every
 * such listener enforces its domain, so that without a handler nobody gets in.
 *
 * Sockets without keys of the same process have a domain of their own (zeromq-sockets.ts); they are let in as they
 * would be without a handler. Source: ZeroMQ RFC 27.
 */
import { Reply } from "zeromq";
import { AddressRates } from "../../core/address-rates.ts";
import { MeshError } from "../../errors.ts";
import type { TransportContext } from "../../ports/transport.ts";
import { PLAIN_DOMAIN } from "./zeromq-sockets.ts";

const ENDPOINT = "inproc://zeromq.zap.01";
const VERSION = "1.0";
const KEY_BYTES = 32;
/** Handshakes of one address: far above what a mesh on one host needs when it starts. */
const RATE = { perSecond: 200, burst: 1_000 };

type Verdict = { readonly status: "200" | "300" | "400"; readonly text: string };

const ADMITTED: Verdict = { status: "200", text: "OK" };
const REFUSED: Verdict = { status: "400", text: "refused" };
const LATER: Verdict = { status: "300", text: "too many handshakes" };

/** What one listener asks of the handler. */
export class ZapDomain {
  readonly name: string;
  readonly #context: TransportContext;
  readonly #rates = new AddressRates(RATE);

  constructor(name: string, context: TransportContext) {
    this.name = name;
    this.#context = context;
  }

  judge(address: string, mechanism: string, key: Uint8Array | undefined): Verdict {
    if (mechanism !== "CURVE" || key?.length !== KEY_BYTES) {
      this.#context.count("transport.unauthorized");
      return REFUSED;
    }
    if (this.#context.security?.isRevokedCurveKey(key) === true) {
      this.#context.count("transport.unauthorized");
      const why = "its key is revoked";
      const record = { who: undefined, action: "join", subject: address, allowed: false } as const;
      this.#context.security.audit({ ...record, why });
      return REFUSED;
    }
    if (this.#rates.of(address).admit(this.#context.clock.monotonicMs()) === 0) return ADMITTED;
    this.#context.count("transport.handshakesCut");
    return LATER;
  }
}

/** The endpoint belongs to the process, and so does what answers there. */
class ZapHandler {
  readonly #domains = new Map<string, ZapDomain>();
  #socket: Reply | undefined;
  #opening: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  get isOpen(): boolean {
    return this.#socket !== undefined;
  }

  /** Resolves when the handler answers. @throws MeshError INVALID_OPTIONS when another one is there */
  async enter(domain: ZapDomain): Promise<void> {
    this.#domains.set(domain.name, domain);
    this.#opening ??= this.#open();
    try {
      await this.#opening;
    } catch (cause) {
      this.#domains.delete(domain.name);
      this.#opening = undefined;
      const message = "another ZAP handler runs in this process: no ZeroMQ listener with keys can";
      throw new MeshError("INVALID_OPTIONS", message, { cause });
    }
  }

  async leave(domain: ZapDomain): Promise<void> {
    this.#domains.delete(domain.name);
    const socket = this.#socket;
    if (this.#domains.size > 0 || socket === undefined) return;
    this.#socket = undefined;
    this.#opening = undefined;
    // Closing alone frees the endpoint some time later.
    this.#closing = socket.unbind(ENDPOINT).finally(() => socket.close());
    await this.#closing;
  }

  async #open(): Promise<void> {
    await this.#closing;
    const socket = new Reply({ linger: 0 });
    try {
      await socket.bind(ENDPOINT);
    } catch (error) {
      socket.close();
      throw error;
    }
    this.#socket = socket;
    void this.#answer(socket);
  }

  async #answer(socket: Reply): Promise<void> {
    try {
      while (!socket.closed) {
        const [, id, domain, address, , mechanism, key] = await socket.receive();
        const { status, text } = this.#judge(text8(domain), text8(address), text8(mechanism), key);
        await socket.send([VERSION, id ?? "", status, text, "", ""]);
      }
    } catch (error) {
      if (!socket.closed) throw error;
    }
  }

  #judge(name: string, address: string, mechanism: string, key: Uint8Array | undefined): Verdict {
    if (name === PLAIN_DOMAIN) return mechanism === "NULL" ? ADMITTED : REFUSED;
    return this.#domains.get(name)?.judge(address, mechanism, key) ?? REFUSED;
  }
}

const text8 = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString();

export const zapHandler = new ZapHandler();
