/**
 * A directory: a node that others ask where their peers are.
 *
 * Problem: where neither multicast nor DNS gets through, nodes need somebody to ask. Approach: one gRPC call a
 * client (proto/meshbus/directory/v1), open for as long as it lives: its announcement is an entry for all others,
 * and it hears of theirs as they come and go, and of the peers that the directory's own node has by other means. It
 * is no centre: it keeps nothing on disk, there may be several, and who has found its peers goes on without.
 *
 * Bounds: `clientsMax` clients, `hostClientsMax` of one host, `entriesMax` entries, more are refused with a code;
 * SPARE_CONNECTIONS more connections to say so, then sockets are closed at once; what each client may say and make
 * it hold is in client-stream.ts.
 */
import type { MeshNode } from "../mesh/mesh-node.ts";
import { stderrLogger, systemClock } from "../mesh/system-ports.ts";
import type { Clock, Timer } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";
import type { Connection } from "../ports/transport.ts";
import { CallTransport } from "../transport/grpc/call-transport.ts";
import { parseHostPort } from "../transport/host-port.ts";
import { Board } from "./board.ts";
import { ClientStream, type StreamOwner } from "./client-stream.ts";
import { ANNOUNCE_PATH, MESSAGE_BYTES_MAX } from "./directory-messages.ts";
import { isLoopbackIp, withoutWildcards } from "./node-entry.ts";
import {
  type ResolvedServeOptions,
  resolveServeOptions,
  type ServeDirectoryOptions,
} from "./serve-options.ts";

const SPARE_CONNECTIONS = 64;
const HANDSHAKE_MS = 5_000;
/** A kind of refusal is logged so often at most. */
const WARN_GAP_MS = 60_000;

/**
 * Serves a node's mesh to nodes that look for their peers. It stops with the node, or by itself.
 * @throws MeshError INVALID_OPTIONS, INSECURE_LISTEN, ADDRESS_IN_USE
 */
export const serveDirectory = async (
  node: MeshNode,
  options: ServeDirectoryOptions = {},
): Promise<Directory> => {
  const directory = new Directory(node, resolveServeOptions(options, node.security !== undefined));
  await directory.start();
  return directory;
};

export class Directory {
  readonly #node: MeshNode;
  readonly #options: ResolvedServeOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #transport: CallTransport;
  readonly #board: Board;
  readonly #owner: StreamOwner;
  readonly #streams = new Set<ClientStream>();
  readonly #perHost = new Map<string, number>();
  /** Peers of the node that the board has from here. */
  readonly #linked = new Set<string>();
  readonly #warnedAtMs = new Map<string, number>();
  #address = "";
  #refused = 0;
  #nextSource = 0;
  #graceTimer: Timer | undefined;
  #stopping: Promise<void> | undefined;

  /** @internal Use serveDirectory(). */
  constructor(node: MeshNode, options: ResolvedServeOptions, clock: Clock = systemClock()) {
    this.#node = node;
    this.#options = options;
    this.#clock = clock;
    this.#logger = options.logger ?? stderrLogger();
    const { entriesMax, graceMs, clientsMax } = options;
    this.#transport = new CallTransport(ANNOUNCE_PATH, 0, {
      connectionsMax: Math.min(65_535, clientsMax + SPARE_CONNECTIONS),
      handshakeTimeoutMs: HANDSHAKE_MS,
    });
    this.#board = new Board({ entriesMax, graceMs }, (nodeId) => {
      for (const stream of this.#streams) stream.tell(nodeId);
    });
    this.#owner = {
      mesh: options.mesh,
      clock,
      nodeIds: () => this.#board.nodeIds(),
      find: (nodeId) => this.#board.find(nodeId),
      announced: ({ source }, entry) => this.#board.state(source, entry),
      refused: ({ from }, code, message) => {
        this.#refused++;
        this.#warn(code, `${from.host}: ${message}`);
      },
      over: (stream, broke) => this.#over(stream, broke),
    };
  }

  /** Where clients reach it: "grpc://host:port". */
  get address(): string {
    return this.#address;
  }

  /** Clients at this moment; entries of nodes, its own and those in their grace included; clients ever refused. */
  get load(): { readonly clients: number; readonly entries: number; readonly refused: number } {
    return { clients: this.#streams.size, entries: this.#board.size, refused: this.#refused };
  }

  /** @internal */
  async start(): Promise<void> {
    const { id, service, addresses } = this.#node;
    // The node itself: a client knows best by what host it has reached it.
    this.#board.state(`link ${id}`, { nodeId: id, service, epoch: 0, addresses });
    this.#readPeers();
    await this.#transport.start({
      clock: this.#clock,
      logger: this.#logger,
      frameBytesMax: MESSAGE_BYTES_MAX,
      security: this.#options.security ? this.#node.security : undefined,
      count: (name) => {
        if (name === "transport.refused") this.#warn("FULL", "a connection was closed at once");
      },
    });
    const { listen } = this.#options;
    const listener = await this.#transport.listen(listen, (connection) => this.#accept(connection));
    this.#address = listener.address;
    void this.#follow();
  }

  /** Ends all streams; clients keep what they know. The node goes on. Idempotent. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    await Promise.resolve(); // `stop` has noted that it runs
    for (const stream of [...this.#streams]) stream.close(true);
    if (this.#graceTimer !== undefined) this.#clock.clearTimer(this.#graceTimer);
    this.#graceTimer = undefined;
    await this.#transport.stop();
  }

  /** The node's own news: its peers, and that it stops. */
  async #follow(): Promise<void> {
    for await (const { type } of this.#node.status()) {
      if (this.#stopping !== undefined || type === "stopping") break;
      if (type.startsWith("peer-")) this.#readPeers();
    }
    await this.stop();
  }

  #readPeers(): void {
    const gone = new Set(this.#linked);
    const left = new Set<string>();
    for (const { nodeId, service, epoch, state, addresses } of this.#node.peers()) {
      if (state === "left") left.add(nodeId);
      if (state !== "alive" && state !== "stalled") continue;
      gone.delete(nodeId);
      this.#linked.add(nodeId);
      const entry = withoutWildcards({ nodeId, service, epoch, addresses });
      this.#board.state(`link ${nodeId}`, entry);
    }
    for (const nodeId of gone) {
      this.#linked.delete(nodeId);
      if (left.has(nodeId)) this.#board.remove(`link ${nodeId}`);
      else this.#board.leave(`link ${nodeId}`, this.#clock.monotonicMs());
    }
    this.#expire();
  }

  #accept(connection: Connection): void {
    const { host: said } = parseHostPort("grpc", connection.remote);
    const host = said.replace(/^::ffff:(?=\d+\.)/i, "");
    const from = { host, isLoopback: isLoopbackIp(host) };
    const stream = new ClientStream(this.#nextSource++, from, connection, this.#owner);
    const ofHost = (this.#perHost.get(host) ?? 0) + 1;
    this.#perHost.set(host, ofHost);
    this.#streams.add(stream);
    const { clientsMax, hostClientsMax } = this.#options;
    if (this.#stopping !== undefined) stream.close(true);
    else if (this.#streams.size > clientsMax) {
      stream.refuse("FULL", `the directory has its ${clientsMax} clients`);
    } else if (ofHost > hostClientsMax) {
      stream.refuse("HOST_FULL", `the directory has its ${hostClientsMax} clients of ${host}`);
    }
  }

  #over(stream: ClientStream, broke: boolean): void {
    const { host } = stream.from;
    this.#streams.delete(stream);
    const ofHost = (this.#perHost.get(host) ?? 1) - 1;
    if (ofHost === 0) this.#perHost.delete(host);
    else this.#perHost.set(host, ofHost);
    if (broke) this.#board.leave(stream.source, this.#clock.monotonicMs());
    else this.#board.remove(stream.source);
    this.#expire();
  }

  /** Ends entries past their grace, now and when the next one is. */
  #expire(): void {
    if (this.#graceTimer !== undefined) this.#clock.clearTimer(this.#graceTimer);
    this.#graceTimer = undefined;
    const nowMs = this.#clock.monotonicMs();
    const nextMs = this.#board.expire(nowMs);
    if (nextMs === Number.POSITIVE_INFINITY || this.#stopping !== undefined) return;
    this.#graceTimer = this.#clock.setTimer(nextMs - nowMs, () => this.#expire());
  }

  #warn(code: string, message: string): void {
    const nowMs = this.#clock.monotonicMs();
    const beforeMs = this.#warnedAtMs.get(code);
    if (beforeMs !== undefined && nowMs - beforeMs < WARN_GAP_MS) return;
    this.#warnedAtMs.set(code, nowMs);
    this.#logger.warn("a client of the directory was refused", { code, message });
  }
}
