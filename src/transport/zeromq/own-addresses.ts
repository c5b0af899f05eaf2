/**
 * Where else a listener on every interface is: at the addresses of this host.
 *
 * ZeroMQ does not say where a caller is, so the other end of a connection cannot put a host in the place of a
 * wildcard, and could tell nobody where the node is. Bound: HOSTS_MAX, IPv4 first, of interfaces that are up; those of
 * the moment. Without any, others of the same host are told of loopback.
 */
import { networkInterfaces } from "node:os";
import { formatPeerAddress, isWildcard, parsePeerAddress } from "../../core/peer-address.ts";

const HOSTS_MAX = 3;

/** "zmq://0.0.0.0:7400" as others may dial it; empty where the address names its host. */
export const ownAddresses = (bound: string): readonly string[] => {
  const address = parsePeerAddress(bound);
  if (address === undefined || !isWildcard(address)) return [];
  return hosts(address.host === "::").map((host) => formatPeerAddress({ ...address, host }));
};

const hosts = (withIPv6: boolean): string[] => {
  const all = Object.values(networkInterfaces()).flatMap((rows) => rows ?? []);
  const usable = all.filter(({ address, internal }) => !internal && !isLinkLocal(address));
  const of = (family: string): string[] =>
    usable.filter((row) => row.family === family).map(({ address }) => address);
  const found = [...of("IPv4"), ...(withIPv6 ? of("IPv6") : [])].slice(0, HOSTS_MAX);
  return found.length > 0 ? found : ["127.0.0.1"];
};

/** They mean nothing without the name of an interface, which differs from host to host. */
const isLinkLocal = (address: string): boolean => /^(169\.254\.|fe[89ab])/i.test(address);
