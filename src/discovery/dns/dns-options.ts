/** Options of DNS discovery, checked and frozen once. */
import { isIPv4, isIPv6 } from "node:net";
import { parsePeerAddress } from "../../core/peer-address.ts";
import { MeshError } from "../../errors.ts";

export type DnsOptions = {
  /** Port of the nodes behind A and AAAA records, 1 to 65,535. Required unless every name is an SRV name. */
  readonly port?: number;
  /** Transport of the addresses: "zmq" (default), "tcp", "grpc". */
  readonly scheme?: string;
  /** How often names are resolved again, 1,000 to 3,600,000 ms. Default 10,000. */
  readonly refreshMs?: number;
  /** When a question to a server counts as unanswered, 100 to 60,000 ms; it is asked twice. Default 2,000. */
  readonly timeoutMs?: number;
  /** Servers to ask, at most 8: "10.0.0.10", "10.0.0.10:53", "[::1]:53". Default: the system's. */
  readonly servers?: readonly string[];
};

export type ResolvedDnsOptions = {
  readonly names: readonly DnsName[];
  readonly scheme: string;
  readonly refreshMs: number;
  readonly timeoutMs: number;
  readonly servers: readonly string[];
};

/** A name to resolve; `port` is absent where SRV records say it. */
export type DnsName = { readonly name: string; readonly port?: number };

const NAMES_MAX = 16;
const SERVERS_MAX = 8;
const LABELS = /^_?[A-Za-z0-9]([A-Za-z0-9_-]{0,62})(\._?[A-Za-z0-9][A-Za-z0-9_-]{0,62})*\.?$/;

/** @throws MeshError INVALID_OPTIONS naming every wrong option. */
export function resolveDnsOptions(
  names: string | readonly string[],
  options: DnsOptions,
): ResolvedDnsOptions {
  const wrong: string[] = [];
  const within = (name: keyof DnsOptions, fallback: number, min: number, max: number): number => {
    const value = options[name] ?? fallback;
    if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) {
      return value;
    }
    wrong.push(`${name} ${String(value)} is not an integer from ${min} to ${max}`);
    return fallback;
  };
  const list: readonly unknown[] = typeof names === "string" ? [names] : [...names];
  if (list.length === 0 || list.length > NAMES_MAX) {
    wrong.push(`${list.length} names; 1 to ${NAMES_MAX} are possible`);
  }
  const texts = list.filter((name): name is string => {
    const good = typeof name === "string" && name.length <= 253 && LABELS.test(name);
    if (!good) wrong.push(`${shown(name)} is not a host name or "_service._protocol.name"`);
    return good;
  });
  const port = options.port === undefined ? undefined : within("port", 1, 1, 65_535);
  if (port === undefined && texts.some((name) => !isServiceName(name))) {
    wrong.push(`port is missing: only SRV names ("_service._protocol.name") carry one`);
  }
  const scheme = options.scheme ?? "zmq";
  if (parsePeerAddress(`${scheme}://host:1`)?.scheme !== scheme) {
    wrong.push(`scheme ${shown(scheme)} is not one of "zmq", "tcp", "grpc"`);
  }
  const servers = options.servers ?? [];
  if (!Array.isArray(servers) || servers.length > SERVERS_MAX) {
    wrong.push(`servers must be a list of at most ${SERVERS_MAX}`);
  } else {
    for (const server of servers as readonly unknown[]) {
      if (!isServer(server)) wrong.push(`server ${shown(server)} is not an IP address`);
    }
  }
  const resolved = {
    names: texts.map((name) =>
      isServiceName(name) || port === undefined ? { name } : { name, port },
    ),
    scheme,
    refreshMs: within("refreshMs", 10_000, 1_000, 3_600_000),
    timeoutMs: within("timeoutMs", 2_000, 100, 60_000),
    servers: [...servers],
  };
  if (wrong.length > 0) throw new MeshError("INVALID_OPTIONS", `dns: ${wrong.join("; ")}`);
  return Object.freeze(resolved);
}

/** RFC 2782: "_service._protocol.name". */
const isServiceName = (name: string): boolean => /^_[^.]+\._[^.]+\./.test(name);

const isServer = (server: unknown): boolean => {
  if (typeof server !== "string") return false;
  if (isIPv4(server) || isIPv6(server)) return true;
  const match = /^(?:\[(?<six>[^\]]+)\]|(?<four>[^:]+)):(?<port>\d{1,5})$/.exec(server);
  const { six = "", four = "", port = "" } = match?.groups ?? {};
  return (isIPv6(six) || isIPv4(four)) && Number(port) >= 1 && Number(port) <= 65_535;
};

const shown = (value: unknown): string =>
  typeof value === "string" ? JSON.stringify(value.slice(0, 260)) : typeof value;
