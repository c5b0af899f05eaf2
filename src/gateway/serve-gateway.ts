/**
 * A gateway: a node, for programs in any language beside it.
 *
 * Problem: a mesh of embedded nodes is closed to whoever cannot embed one. Approach: one gRPC service
 * (proto/meshbus/gateway/v1) on the public surface of a node, whose calls are long streams; the node does what
 * it does for a program of its own process, and the gateway adds who has which message, and gives back what
 * a client that vanished had.
 *
 * This file puts the parts together and holds the start and the stop of the whole.
 */
import type { ServerDuplexStream, UntypedServiceImplementation } from "@grpc/grpc-js";
import { MeshError } from "../errors.ts";
import type { MeshNode } from "../mesh/mesh-node.ts";
import { stderrLogger, systemClock } from "../mesh/system-ports.ts";
import type { Clock } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";
import { assertNoKnownFaults } from "../transport/known-faults.ts";
import { AskCall } from "./ask-call.ts";
import { statusOf } from "./call-errors.ts";
import { ClientCall } from "./client-call.ts";
import { Desks } from "./desks.ts";
import type { GatewayClient } from "./gateway-client.ts";
import { GatewayListener } from "./gateway-listener.ts";
import {
  type GatewayOptions,
  type ResolvedGatewayOptions,
  resolveGatewayOptions,
} from "./gateway-options.ts";
import { loadServices } from "./gateway-protocol.ts";
import { HealthService } from "./health-service.ts";
import type { ListenRole } from "./open-options.ts";
import { RawContracts } from "./raw-contract.ts";
import { runSayCall, type SayVerb } from "./say-call.ts";
import { TakeCall } from "./take-call.ts";

export type { GatewayOptions } from "./gateway-options.ts";

type Stream = ServerDuplexStream<unknown, unknown>;

/**
 * Serves a node to other programs. It stops with the node, or by itself.
 * @throws MeshError INVALID_OPTIONS, INSECURE_LISTEN, ADDRESS_IN_USE
 */
export const serveGateway = async (
  node: MeshNode,
  options: GatewayOptions = {},
): Promise<Gateway> => {
  const gateway = new Gateway(node, resolveGatewayOptions(options, node.security !== undefined));
  await gateway.start();
  return gateway;
};

export class Gateway {
  readonly #node: MeshNode;
  readonly #options: ResolvedGatewayOptions;
  readonly #clock: Clock = systemClock();
  readonly #logger: Logger;
  readonly #listener: GatewayListener;
  readonly #desks: Desks;
  readonly #health: HealthService;
  readonly #contracts = new RawContracts();
  readonly #calls = new Set<ClientCall>();
  readonly #news: ReturnType<MeshNode["status"]>;
  #address = "";
  #stopping: Promise<void> | undefined;

  /** @internal Use serveGateway(). */
  constructor(node: MeshNode, options: ResolvedGatewayOptions) {
    this.#node = node;
    this.#news = node.status();
    this.#options = options;
    this.#logger = options.logger ?? stderrLogger();
    const security = options.security ? node.security : undefined;
    this.#listener = new GatewayListener(options, security, this.#clock, this.#logger);
    this.#desks = new Desks(node, this.#clock);
    const isReady = (): boolean => this.#stopping === undefined && node.health().ready;
    this.#health = new HealthService(isReady, this.#clock, (peer) => this.#listener.greeted(peer));
  }

  /** Where clients reach it: "grpc://host:port". */
  get address(): string {
    return this.#address;
  }

  /** Connections of clients, their calls under way, and connections that were one too many. */
  get load(): { readonly clients: number; readonly calls: number; readonly refused: number } {
    const { clients, refused } = this.#listener;
    return { clients, calls: this.#calls.size, refused };
  }

  /** @internal */
  async start(): Promise<void> {
    assertNoKnownFaults(["@grpc/grpc-js", "protobufjs"]);
    const services = await loadServices();
    this.#listener.server.addService(services.gateway, this.#implementation());
    this.#listener.server.addService(services.health, this.#health.implementation);
    try {
      this.#address = await this.#listener.bind();
    } catch (error) {
      await this.#news.return?.();
      throw error;
    }
    void this.#follow();
  }

  /**
   * Takes no new call, waits for clients to settle (at most drainMs), gives back the rest, ends the calls and
   * the connections. The node goes on. Idempotent.
   */
  stop(options: { readonly drainMs?: number } = {}): Promise<void> {
    this.#stopping ??= this.#stop(options.drainMs ?? this.#options.drainMs);
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(drainMs: number): Promise<void> {
    await Promise.resolve(); // `stop` has noted that it runs
    this.#health.look();
    this.#listener.refuse();
    let late: () => void = () => {};
    const timer = this.#clock.setTimer(drainMs, () => late());
    const settled = this.#desks.stop().catch((error: unknown) => {
      this.#logger.warn("a subscription of the gateway did not stop in order", { error });
    });
    await Promise.race([settled, new Promise<void>((resolve) => (late = resolve))]);
    this.#clock.clearTimer(timer);
    for (const call of [...this.#calls]) call.abandon(stopped());
    await settled;
    this.#health.stop();
    await this.#listener.close();
    await this.#news.return?.();
  }

  /** The node's own news: it stops, or a claim of ours was younger than another. */
  async #follow(): Promise<void> {
    for await (const { type } of this.#news) {
      if (type === "subscription-refused") this.#desks.refused();
      else if (type === "stopping") break;
    }
    await this.stop();
  }

  #implementation(): UntypedServiceImplementation {
    const { limits } = this.#options;
    const { underWayMax, creditMax, prefetchBytesMax } = limits;
    const say = { node: this.#node, contracts: this.#contracts, underWayMax };
    const take = {
      desks: this.#desks,
      contracts: this.#contracts,
      service: this.#node.service,
      creditMax,
      prefetchBytesMax,
    };
    const saying = (verb: SayVerb) => (stream: Stream) =>
      this.#opened(stream, "said", (call) => runSayCall(call, verb, say));
    const taking = (role: ListenRole) => (stream: Stream) =>
      this.#opened(stream, "given", (call) => void new TakeCall(call, role, take));
    return {
      publish: saying("publish"),
      send: saying("send"),
      emit: saying("emit"),
      request: (stream: Stream) =>
        this.#opened(stream, "said", (call) => void new AskCall(call, say)),
      subscribe: taking("events"),
      handle: taking("commands"),
      reply: taking("queries"),
    };
  }

  #opened(stream: Stream, budget: "given" | "said", run: (call: ClientCall) => void): void {
    const client: GatewayClient | undefined = this.#listener.greeted(stream.getPeer());
    if (client === undefined) return;
    if (this.#stopping !== undefined) {
      stream.emit("error", statusOf(stopped()));
      return;
    }
    const host = { clock: this.#clock, logger: this.#logger };
    const call = new ClientCall(stream, client, client[budget], host);
    this.#calls.add(call);
    call.signal.addEventListener("abort", () => this.#calls.delete(call), { once: true });
    run(call);
  }
}

const stopped = (): MeshError => new MeshError("STOPPED", "the gateway stops or has stopped");
