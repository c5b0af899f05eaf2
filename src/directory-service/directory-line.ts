/**
 * The line from a node to one directory, kept for ever.
 *
 * Problem: a directory dies, restarts, stands still, floods or lies, and none of that may cost a node more than
 * the hints it would have had. Approach: one call, dialled again with a growing, jittered pause whatever ended it;
 * each thing that is said is counted against a rate, and who says too much, nonsense or nothing is hung up on.
 *
 * Bounds: one call or dial; SAID entries a second, beyond which the line waits for its longest pause, as it does
 * after a refusal. Pauses double from FIRST_PAUSE_MS to `pauseMsMax`, each times a factor in [0.75, 1.25), and begin
 * anew once a line has held for STEADY_MS.
 *
 * States: waiting (a timer) -> dialling -> open -> waiting; stopped from any, for good.
 */
import { lookup } from "node:dns/promises";
import { RateLimiter } from "../core/rate-limiter.ts";
import { MeshError } from "../errors.ts";
import type { Timer } from "../ports/clock.ts";
import type { DiscoveryContext } from "../ports/discovery.ts";
import type { Connection, Transport } from "../ports/transport.ts";
import { formatHostPort, type HostPort } from "../transport/host-port.ts";
import { WireError } from "../wire/wire-error.ts";
import {
  ADDRESSES_MAX,
  ALIVE_MS,
  type AnnounceResponse,
  decodeResponse,
  encodeRequest,
  type NodeEntry,
  SILENCE_MS,
} from "./directory-messages.ts";
import { checkedEntry, isLoopbackIp, type OtherSide, withoutHostLocal } from "./node-entry.ts";

export interface LineOwner {
  readonly context: DiscoveryContext;
  readonly transport: Transport;
  readonly timeoutMs: number;
  readonly pauseMsMax: number;
  /** A call begins: what was said in an earlier one is old. */
  began(): void;
  there(entry: NodeEntry): void;
  gone(nodeId: string): void;
  /** All that the directory knows has been said. */
  listed(): void;
  /** The call has ended. */
  ended(): void;
  /** Of a kind that is reported so often at most. */
  problem(kind: string, error: MeshError): void;
}

const FIRST_PAUSE_MS = 250;
const STEADY_MS = 5_000;
const HOSTS_MAX = 8;
/** Messages, and entries in them. */
const SAID = { perSecond: 200, burst: 16_384 };

export class DirectoryLine {
  /** "grpc://host:port". */
  readonly address: string;
  readonly #at: HostPort;
  readonly #owner: LineOwner;
  readonly #rate = new RateLimiter(SAID);
  #connection: Connection | undefined;
  #timer: Timer | undefined;
  #pauseMs = FIRST_PAUSE_MS;
  #openedAtMs = 0;
  #heardAtMs = 0;
  #isStopped = false;

  constructor(at: HostPort, owner: LineOwner) {
    this.#at = at;
    this.address = formatHostPort("grpc", at);
    this.#owner = owner;
    void this.#dial();
  }

  /** Says goodbye. */
  stop(): void {
    this.#isStopped = true;
    this.#clearTimer();
    this.#connection?.close();
    this.#connection = undefined;
  }

  // --- inside --------------------------------------------------------------------------------

  async #dial(): Promise<void> {
    const { transport, timeoutMs } = this.#owner;
    let failure: unknown;
    try {
      const hosts = await lookup(this.#at.host, { all: true });
      for (const { address: host } of hosts.slice(0, HOSTS_MAX)) {
        if (this.#isStopped) return;
        try {
          const address = formatHostPort("grpc", { host, port: this.#at.port });
          this.#opened(await transport.dial(address, { timeoutMs }), host);
          return;
        } catch (error) {
          failure = error;
        }
      }
    } catch (error) {
      failure = error;
    }
    if (this.#isStopped) return;
    this.#problem("away", "cannot be reached", failure);
    this.#wait();
  }

  #opened(connection: Connection, host: string): void {
    const from = { host, isLoopback: isLoopbackIp(host) };
    this.#openedAtMs = this.#nowMs();
    this.#heardAtMs = this.#openedAtMs;
    connection.open({
      frame: (bytes) => {
        if (this.#connection === connection) this.#heard(bytes, from);
      },
      drained: () => {},
      closed: (reason) => {
        if (this.#connection === connection) this.#lost("lost", "has gone", reason);
      },
    });
    if (this.#isStopped) {
      connection.close();
      return;
    }
    this.#connection = connection;
    this.#owner.began();
    this.#announce(connection, from);
    this.#look();
  }

  #announce(connection: Connection, { isLoopback }: OtherSide): void {
    const { mesh, nodeId, service, epoch, addresses } = this.#owner.context.self;
    const own = { nodeId, service, epoch, addresses: addresses.slice(0, ADDRESSES_MAX) };
    const node = isLoopback ? own : withoutHostLocal(own);
    if (node.addresses.length === 0) {
      this.#problem(
        "own",
        "cannot tell others of this node, whose addresses are for its host",
        undefined,
      );
    }
    connection.send(encodeRequest({ mesh, node, alive: false }));
  }

  #heard(bytes: Uint8Array, from: OtherSide): void {
    const owner = this.#owner;
    this.#heardAtMs = this.#nowMs();
    let response: AnnounceResponse;
    try {
      response = decodeResponse(bytes);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      owner.context.count("discovery.directory.malformed");
      this.#hangUp("malformed", `says what no directory says: ${error.reason}`);
      return;
    }
    const { there, gone, listed, refusal } = response;
    if (refusal !== undefined) {
      const said = `${refusal.code.slice(0, 40)}: ${refusal.message.slice(0, 200)}`;
      this.#hangUp("refused", `refuses this node: ${said}`);
      return;
    }
    if (!this.#admits(1 + there.length + gone.length)) {
      owner.context.count("discovery.directory.flooded");
      this.#hangUp("flooded", `says more than ${SAID.perSecond} things a second`);
      return;
    }
    for (const nodeId of gone) owner.gone(nodeId);
    for (const said of there) {
      const entry = checkedEntry(said, from);
      if (typeof entry !== "string") owner.there(entry);
      else owner.context.count("discovery.directory.malformed");
    }
    if (listed) owner.listed();
  }

  #admits(things: number): boolean {
    const nowMs = this.#nowMs();
    for (let thing = 0; thing < things; thing++) {
      if (this.#rate.admit(nowMs) > 0) return false;
    }
    return true;
  }

  /** Now and then: does it still answer, and does it know that this node is there. */
  #look(): void {
    const dueAtMs = this.#nowMs() + ALIVE_MS;
    this.#timer = this.#owner.context.clock.setTimer(ALIVE_MS, () => {
      const nowMs = this.#nowMs();
      // This side stood still: what came meanwhile is read first.
      const stoodStill = nowMs - dueAtMs >= ALIVE_MS;
      if (!stoodStill && nowMs - this.#heardAtMs >= SILENCE_MS) {
        this.#connection?.close();
        this.#lost("silent", "says nothing", undefined);
        return;
      }
      if (nowMs - this.#openedAtMs >= STEADY_MS) this.#pauseMs = FIRST_PAUSE_MS;
      const alive = encodeRequest({ mesh: "", node: undefined, alive: true });
      if (this.#connection?.bufferedBytes === 0) this.#connection.send(alive);
      this.#look();
    });
  }

  /** It is not worth a call for a while. */
  #hangUp(kind: string, what: string): void {
    this.#pauseMs = this.#owner.pauseMsMax;
    this.#connection?.close();
    this.#lost(kind, what, undefined);
  }

  #lost(kind: string, what: string, cause: unknown): void {
    this.#connection = undefined;
    this.#owner.ended();
    this.#problem(kind, what, cause);
    this.#wait();
  }

  #wait(): void {
    this.#clearTimer();
    const { context, pauseMsMax } = this.#owner;
    const pauseMs = Math.min(this.#pauseMs, pauseMsMax) * (0.75 + context.random.fraction() / 2);
    this.#pauseMs = Math.min(this.#pauseMs * 2, pauseMsMax);
    this.#timer = context.clock.setTimer(pauseMs, () => {
      this.#timer = undefined;
      void this.#dial();
    });
  }

  #problem(kind: string, what: string, cause: unknown): void {
    const why = cause instanceof Error ? ` (${cause.message})` : "";
    const message = `directory: ${this.address} ${what}${why}; what was known stays, and it is tried again for ever`;
    const details = { discovery: "directory", server: this.address, kind };
    const error = new MeshError("PEER_LOST", message, { cause, details });
    this.#owner.problem(`${this.address} ${kind}`, error);
  }

  #nowMs(): number {
    return this.#owner.context.clock.monotonicMs();
  }

  #clearTimer(): void {
    if (this.#timer !== undefined) this.#owner.context.clock.clearTimer(this.#timer);
    this.#timer = undefined;
  }
}
