/**
 * What the name servers say of one name: "host:port" texts.
 *
 * Problem: an answer may be partial. A server that is asked for two families may answer for one; of a
 * hundred SRV targets one may not resolve. What is not known must not look as if it were gone. Approach:
 * each question keeps its last good answer; "no such name" and "no such record" are answers, time-outs and
 * failures of servers are not. SRV targets are asked for as hosts, in groups.
 *
 * Bounds: `HOSTS_MAX` SRV targets and addresses a name, the first of an answer; questions about hosts that
 * are no longer targets are forgotten.
 */
import type { Resolver } from "node:dns/promises";
import { isIPv4 } from "node:net";
import type { DnsName } from "./dns-options.ts";

export type QueryResult = {
  readonly addresses: ReadonlySet<string>;
  /** The first failure; what it concerns is as it was before. */
  readonly failure?: unknown;
  /** There were more addresses than are kept. */
  readonly full: boolean;
};

const HOSTS_MAX = 1_024;
const HOSTS_AT_ONCE = 16;
const NO_RECORDS = new Set(["ENOTFOUND", "ENODATA"]);

type Service = { readonly host: string; readonly port: number };

export class RecordQuery {
  readonly #resolver: Resolver;
  readonly #name: DnsName;
  #services: readonly Service[];
  readonly #hosts = new Map<string, { four: readonly string[]; six: readonly string[] }>();

  constructor(resolver: Resolver, name: DnsName) {
    this.#resolver = resolver;
    this.#name = name;
    this.#services = name.port === undefined ? [] : [{ host: name.name, port: name.port }];
  }

  async ask(): Promise<QueryResult> {
    let failure: unknown;
    const failed = (error: unknown): void => {
      failure ??= error;
    };
    if (this.#name.port === undefined) {
      this.#services = await answerOf(this.#askServices(), this.#services, failed);
    }
    const hosts = [...new Set(this.#services.slice(0, HOSTS_MAX).map(({ host }) => host))];
    for (const known of this.#hosts.keys()) if (!hosts.includes(known)) this.#hosts.delete(known);
    for (let at = 0; at < hosts.length; at += HOSTS_AT_ONCE) {
      const group = hosts.slice(at, at + HOSTS_AT_ONCE);
      await Promise.all(group.map((host) => this.#askHost(host, failed)));
    }
    return { ...this.#addresses(), failure };
  }

  async #askServices(): Promise<readonly Service[]> {
    const records = await this.#resolver.resolveSrv(this.#name.name);
    const best = records.sort((a, b) => a.priority - b.priority || b.weight - a.weight);
    return best.filter(({ port, name }) => port > 0 && name !== "").map(serviceOf);
  }

  async #askHost(host: string, failed: (error: unknown) => void): Promise<void> {
    const { four, six } = this.#hosts.get(host) ?? { four: [], six: [] };
    const answers = await Promise.all([
      answerOf(this.#resolver.resolve4(host), four, failed),
      answerOf(this.#resolver.resolve6(host), six, failed),
    ]);
    this.#hosts.set(host, { four: answers[0], six: answers[1] });
  }

  #addresses(): { addresses: ReadonlySet<string>; full: boolean } {
    const addresses = new Set<string>();
    let full = this.#services.length > HOSTS_MAX;
    for (const { host, port } of this.#services.slice(0, HOSTS_MAX)) {
      const { four, six } = this.#hosts.get(host) ?? { four: [], six: [] };
      for (const ip of [...four, ...six]) {
        if (!isDialable(ip)) continue;
        if (addresses.size < HOSTS_MAX)
          addresses.add(isIPv4(ip) ? `${ip}:${port}` : `[${ip}]:${port}`);
        else full = true;
      }
    }
    return { addresses, full };
  }
}

const serviceOf = ({ name, port }: { name: string; port: number }): Service => ({
  host: name,
  port,
});

/** The answer; what was known before when there was none. */
const answerOf = async <T>(
  question: Promise<readonly T[]>,
  before: readonly T[],
  failed: (error: unknown) => void,
): Promise<readonly T[]> => {
  try {
    return await question;
  } catch (error) {
    if (NO_RECORDS.has((error as NodeJS.ErrnoException).code ?? "")) return [];
    failed(error);
    return before;
  }
};

/** Not "any address" and not a group of hosts, which a server might say by mistake or malice. */
const isDialable = (ip: string): boolean =>
  isIPv4(ip)
    ? !/^(0\.|22[4-9]\.|23\d\.|255\.)/.test(ip)
    : ip !== "::" && !ip.toLowerCase().startsWith("ff");
