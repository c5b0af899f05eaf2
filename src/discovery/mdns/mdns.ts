/**
 * Discovery over multicast DNS: nodes on one network find one another without configuration.
 *
 * Each node announces itself as a DNS-SD instance of `_meshbus._tcp.local` and asks for the others of
 * its mesh (RFC 6762, RFC 6763; docs/discovery.md has the records). Everything heard is a hint: who a peer is, the
 * handshake decides. Nodes with keys say and believe only what has the mesh's seal. IPv4 multicast only.
 */
import type { Discovery, DiscoveryContext, DiscoveryEvents } from "../../ports/discovery.ts";
import type { MdnsOptions, ResolvedMdnsOptions } from "./mdns-options.ts";
import { resolveMdnsOptions } from "./mdns-options.ts";
import { MdnsSession } from "./mdns-session.ts";

/**
 * Peers found by multicast DNS.
 *
 * Failing multicast never stops a start: it is reported through `problem` and tried again for ever.
 * @throws MeshError INVALID_OPTIONS naming every wrong option.
 */
export function mdns(options: MdnsOptions = {}): Discovery {
  return new Mdns(resolveMdnsOptions(options));
}

class Mdns implements Discovery {
  readonly name = "mdns";
  readonly #options: ResolvedMdnsOptions;
  #session: MdnsSession | undefined;
  #stopping: Promise<void> = Promise.resolve();

  constructor(options: ResolvedMdnsOptions) {
    this.#options = options;
  }

  async start(context: DiscoveryContext, events: DiscoveryEvents): Promise<void> {
    if (this.#session !== undefined) return;
    const session = new MdnsSession(this.#options, context, events, this.name);
    this.#session = session;
    const { secrets } = context;
    if (secrets !== undefined) {
      const { SealedEar } = await import("./sealed-ear.ts");
      session.useSeal(new SealedEar(context, secrets));
    }
    if (this.#session === session) session.start();
  }

  stop(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    if (session !== undefined) this.#stopping = session.stop();
    return this.#stopping;
  }
}
