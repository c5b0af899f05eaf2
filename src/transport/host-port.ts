/**
 * Addresses of transports over TCP: "scheme://host:port". IPv6 hosts stand in brackets, as in any URL.
 *
 * Invariant: what `formatHostPort` gives, `parseHostPort` reads back.
 */
import { isIPv6 } from "node:net";
import { MeshError } from "../errors.ts";

export type HostPort = { readonly host: string; readonly port: number };

const REST = /^(?:\[([^[\]]+)\]|([^:/[\]]+)):(\d{1,5})$/;

/** @throws MeshError INVALID_OPTIONS */
export function parseHostPort(scheme: string, address: string): HostPort {
  const start = `${scheme}://`;
  const match = address.startsWith(start) ? REST.exec(address.slice(start.length)) : null;
  const port = Number(match?.[3]);
  const bracketed = match?.[1];
  const host = bracketed ?? match?.[2];
  const hostOk = host !== undefined && (bracketed === undefined || isIPv6(bracketed));
  if (!hostOk || !(port >= 1 && port <= 65_535)) {
    const text = JSON.stringify(address.slice(0, 300));
    throw new MeshError(
      "INVALID_OPTIONS",
      `address ${text} is not of the form ${scheme}://host:port, port 1..65535`,
    );
  }
  return { host, port };
}

export function formatHostPort(scheme: string, at: HostPort): string {
  return `${scheme}://${bracketHost(at.host)}:${at.port}`;
}

export function bracketHost(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** @throws MeshError INVALID_OPTIONS when nothing can listen there; port 0 is any */
export function assertBindable({ host, port }: HostPort, wanted: string): void {
  if (host !== "" && Number.isInteger(port) && port >= 0 && port <= 65_535) return;
  throw new MeshError("INVALID_OPTIONS", `cannot listen on ${wanted}: host or port is invalid`);
}
