/**
 * Discovery by asking directories.
 *
 * Problem: networks without multicast and without DNS. Approach: a line to each of a few directories, kept for
 * ever; what they say is put together, checked and passed on as hints. A directory that dies takes nothing along:
 * what it said stays, and only a directory that is there can say that a node is gone, if no other lists it.
 *
 * Bounds: SERVERS_MAX directories; of each what directory-line.ts and heard-nodes.ts hold; a problem of a kind is
 * reported once a minute. No event after `stop()`.
 */
import type { MeshError } from "../errors.ts";
import type { Timer } from "../ports/clock.ts";
import type { Discovery, DiscoveryContext, DiscoveryEvents } from "../ports/discovery.ts";
import { CallTransport } from "../transport/grpc/call-transport.ts";
import {
  type DirectoryServiceOptions,
  type ResolvedClientOptions,
  resolveClientOptions,
} from "./client-options.ts";
import { DirectoryLine } from "./directory-line.ts";
import { ANNOUNCE_PATH, MESSAGE_BYTES_MAX, type NodeEntry } from "./directory-messages.ts";
import { HeardNodes } from "./heard-nodes.ts";

const NAME = "directory";
const PROBLEM_REPEAT_MS = 60_000;
/** How long a directory that began anew has to hear of all nodes again. */
const SETTLE_MS = 60_000;
const REPEAT_MS = 30_000;

/**
 * Peers that directories know ([serveDirectory]).
 *
 * @param servers "host:port" of each, 1 to 8.
 * @throws MeshError INVALID_OPTIONS naming everything that is wrong
 */
export function directoryService(
  servers: string | readonly string[],
  options: DirectoryServiceOptions = {},
): Discovery {
  return new DirectoryDiscovery(resolveClientOptions(servers, options));
}

class DirectoryDiscovery implements Discovery {
  readonly name = NAME;
  readonly #options: ResolvedClientOptions;
  #life: Life | undefined;

  constructor(options: ResolvedClientOptions) {
    this.#options = options;
  }

  async start(context: DiscoveryContext, events: DiscoveryEvents): Promise<void> {
    if (this.#life !== undefined) return;
    this.#life = new Life(this.#options, context, events);
    await this.#life.start();
  }

  async stop(): Promise<void> {
    const life = this.#life;
    this.#life = undefined;
    await life?.stop();
  }
}

/** From start to stop. */
class Life {
  readonly #options: ResolvedClientOptions;
  readonly #context: DiscoveryContext;
  readonly #events: DiscoveryEvents;
  readonly #transport = new CallTransport(ANNOUNCE_PATH, 0, {
    connectionsMax: 1, // it dials only
    handshakeTimeoutMs: 5_000,
  });
  readonly #heard: HeardNodes;
  readonly #timers = new Map<number, Timer>();
  readonly #problemAtMs = new Map<string, number>();
  #lines: readonly DirectoryLine[] = [];
  #repeatTimer: Timer | undefined;
  #isStopped = false;

  constructor(options: ResolvedClientOptions, context: DiscoveryContext, events: DiscoveryEvents) {
    this.#options = options;
    this.#context = context;
    this.#events = events;
    this.#heard = new HeardNodes(options.servers.length, {
      found: (hint) => {
        if (!this.#isStopped) events.found({ ...hint, source: NAME });
      },
      lost: (nodeId) => {
        if (!this.#isStopped) events.lost(nodeId);
      },
    });
  }

  async start(): Promise<void> {
    const { clock, logger, security } = this.#context;
    const context = { clock, logger, security, frameBytesMax: MESSAGE_BYTES_MAX, count: () => {} };
    await this.#transport.start(context);
    if (this.#isStopped) return;
    this.#lines = this.#options.servers.map(
      (at, index) => new DirectoryLine(at, this.#owner(index)),
    );
    this.#repeat();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    const { clock } = this.#context;
    for (const line of this.#lines) line.stop();
    for (const timer of this.#timers.values()) clock.clearTimer(timer);
    if (this.#repeatTimer !== undefined) clock.clearTimer(this.#repeatTimer);
    await this.#transport.stop();
  }

  #owner(directory: number): ConstructorParameters<typeof DirectoryLine>[1] {
    return {
      context: this.#context,
      transport: this.#transport,
      timeoutMs: this.#options.timeoutMs,
      pauseMsMax: this.#options.pauseMsMax,
      began: () => this.#heard.begin(directory),
      ended: () => this.#clear(directory),
      there: (entry) => this.#there(directory, entry),
      gone: (nodeId) => this.#heard.gone(directory, nodeId),
      listed: () => {
        this.#clear(directory);
        const settle = (): void => this.#heard.settle(directory);
        this.#timers.set(directory, this.#context.clock.setTimer(SETTLE_MS, settle));
      },
      problem: (kind, error) => this.#problem(kind, error),
    };
  }

  #there(directory: number, entry: NodeEntry): void {
    const { self } = this.#context;
    if (entry.nodeId === self.nodeId) return;
    const addresses = entry.addresses.filter((address) => !self.addresses.includes(address));
    if (addresses.length === 0) this.#heard.gone(directory, entry.nodeId);
    else if (!this.#heard.there(directory, { ...entry, addresses })) {
      this.#context.count("discovery.directory.full");
    }
  }

  #clear(directory: number): void {
    const timer = this.#timers.get(directory);
    if (timer !== undefined) this.#context.clock.clearTimer(timer);
    this.#timers.delete(directory);
  }

  #repeat(): void {
    const { clock, random } = this.#context;
    const delayMs = REPEAT_MS * (0.75 + random.fraction() / 2);
    this.#repeatTimer = clock.setTimer(delayMs, () => {
      this.#repeat();
      this.#heard.repeat();
    });
  }

  #problem(kind: string, error: MeshError): void {
    if (this.#isStopped) return;
    const nowMs = this.#context.clock.monotonicMs();
    const saidAtMs = this.#problemAtMs.get(kind);
    if (saidAtMs !== undefined && nowMs - saidAtMs < PROBLEM_REPEAT_MS) return;
    this.#problemAtMs.set(kind, nowMs);
    this.#events.problem(error);
  }
}
