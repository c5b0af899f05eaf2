/**
 * Peers by DNS: headless services, and any name that stands for many hosts.
 *
 * Problem: in a cluster the addresses of a service's instances come and go, and the name server knows them.
 * Approach: resolve the names again and again; say what is there each time (the directory above knows
 * whom it has), and what is there no longer, so that nobody dials the addresses of the past for ever.
 *
 * Invariants: one round at a time, one timer; pauses double from 500 ms to `refreshMs`, and begin
 * anew when something changed; each times a factor in [0.75, 1.25); only an answer removes an address; no
 * event after `stop()`.
 */
import { Resolver } from "node:dns/promises";
import { MeshError } from "../../errors.ts";
import type { Timer } from "../../ports/clock.ts";
import type { Discovery, DiscoveryContext, DiscoveryEvents } from "../../ports/discovery.ts";
import {
  type DnsName,
  type DnsOptions,
  type ResolvedDnsOptions,
  resolveDnsOptions,
} from "./dns-options.ts";
import { RecordQuery } from "./record-query.ts";

const FIRST_PAUSE_MS = 500;
const PROBLEM_REPEAT_MS = 60_000;

/**
 * Peers that name servers know.
 *
 * @param names host names (A and AAAA records, all of them; `port` says the rest) or SRV names
 *   ("_service._protocol.name"), 1 to 16, as the name servers know them: the system's search list and hosts file are not used.
 * @throws MeshError INVALID_OPTIONS naming every wrong option at once.
 */
export function dns(names: string | readonly string[], options: DnsOptions = {}): Discovery {
  return new DnsDiscovery(resolveDnsOptions(names, options));
}

class DnsDiscovery implements Discovery {
  readonly name = "dns";
  readonly #options: ResolvedDnsOptions;
  #round: Round | undefined;

  constructor(options: ResolvedDnsOptions) {
    this.#options = options;
  }

  async start(context: DiscoveryContext, events: DiscoveryEvents): Promise<void> {
    if (this.#round !== undefined) return;
    this.#round = new Round(this.#options, context, events);
    void this.#round.next();
  }

  async stop(): Promise<void> {
    this.#round?.stop();
    this.#round = undefined;
  }
}

/** One life, from start to stop. */
class Round {
  readonly #options: ResolvedDnsOptions;
  readonly #context: DiscoveryContext;
  readonly #events: DiscoveryEvents;
  readonly #resolver: Resolver;
  readonly #queries: ReadonlyMap<DnsName, RecordQuery>;
  readonly #problemAtMs = new Map<string, number>();
  #known: ReadonlySet<string> = new Set();
  #pauseMs = FIRST_PAUSE_MS;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: ResolvedDnsOptions, context: DiscoveryContext, events: DiscoveryEvents) {
    this.#options = options;
    this.#context = context;
    this.#events = events;
    this.#resolver = new Resolver({ timeout: options.timeoutMs, tries: 2 });
    if (options.servers.length > 0) this.#resolver.setServers(options.servers);
    this.#queries = new Map(
      options.names.map((name) => [name, new RecordQuery(this.#resolver, name)]),
    );
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== undefined) this.#context.clock.clearTimer(this.#timer);
    this.#resolver.cancel();
  }

  async next(): Promise<void> {
    const found = new Set<string>();
    const ask = async ([{ name }, query]: [DnsName, RecordQuery]): Promise<void> => {
      const { addresses, failure, full } = await query.ask();
      for (const address of addresses) found.add(`${this.#options.scheme}://${address}`);
      if (this.#stopped) return;
      if (failure !== undefined) this.#problem(name, failure);
      if (full) this.#context.count("discovery.dns.full");
    };
    await Promise.all([...this.#queries].map(ask));
    if (this.#stopped) return;
    const before = this.#known;
    const gone = [...before].filter((address) => !found.has(address));
    const changed = gone.length > 0 || found.size !== before.size;
    this.#known = found;
    this.#pauseMs = changed ? FIRST_PAUSE_MS : Math.min(2 * this.#pauseMs, this.#options.refreshMs);
    this.#arm();
    this.#say(found, gone);
  }

  #say(found: ReadonlySet<string>, gone: readonly string[]): void {
    for (const address of gone) {
      if (!this.#stopped) this.#events.lost(address);
    }
    for (const address of found) {
      // One name stands for all instances, so it names this one too.
      if (this.#stopped || this.#context.self.addresses.includes(address)) continue;
      this.#events.found({ addresses: [address], source: "dns" });
    }
  }

  #arm(): void {
    const { clock, random } = this.#context;
    const delayMs = this.#pauseMs * (0.75 + random.fraction() / 2);
    this.#timer = clock.setTimer(delayMs, () => void this.next());
  }

  #problem(name: string, cause: unknown): void {
    const errno = (cause as NodeJS.ErrnoException).code ?? "unknown";
    const kind = `${name} ${errno}`;
    const nowMs = this.#context.clock.monotonicMs();
    const saidAtMs = this.#problemAtMs.get(kind);
    if (saidAtMs !== undefined && nowMs - saidAtMs < PROBLEM_REPEAT_MS) return;
    this.#problemAtMs.set(kind, nowMs);
    const servers = this.#resolver.getServers().join(", ");
    this.#events.problem(
      new MeshError(
        "PEER_LOST",
        `dns: ${name} could not be resolved (${errno}) by ${servers}; what was known stays, and it is asked again for ever`,
        { cause, details: { discovery: "dns", name, errno, servers } },
      ),
    );
  }
}
