/**
 * The addresses of the ZeroMQ transport: "zmq://host:port" outside, "tcp://address:port" for libzmq.
 *
 * Names are resolved here and never by libzmq, whose resolver would block the one I/O thread that all
 * sockets of the process share. IPv6 hosts stand in brackets, as in any URL.
 *
 * Invariant: what `formatZeromqAddress` gives, `parseZeromqAddress` reads back.
 */
import { lookup } from "node:dns/promises";
import { isIP, isIPv6 } from "node:net";
import { MeshError } from "../../errors.ts";

export const ZEROMQ_SCHEME = "zmq";

export type HostPort = { readonly host: string; readonly port: number };

/** The form libzmq takes, and whether the socket has to speak IPv6. */
export type Endpoint = { readonly tcp: string; readonly ipv6: boolean };

const ADDRESS = /^zmq:\/\/(?:\[([^[\]]+)\]|([^:/[\]]+)):(\d{1,5})$/;

/** @throws MeshError INVALID_OPTIONS */
export function parseZeromqAddress(address: string): HostPort {
  const match = ADDRESS.exec(address);
  const port = Number(match?.[3]);
  const bracketed = match?.[1];
  const host = bracketed ?? match?.[2];
  const hostOk = host !== undefined && (bracketed === undefined || isIPv6(bracketed));
  if (!hostOk || !(port >= 1 && port <= 65_535)) {
    throw new MeshError(
      "INVALID_OPTIONS",
      `address ${JSON.stringify(address.slice(0, 300))} is not of the form zmq://host:port, port 1..65535`,
    );
  }
  return { host, port };
}

export function formatZeromqAddress(at: HostPort): string {
  return `${ZEROMQ_SCHEME}://${bracket(at.host)}:${at.port}`;
}

/** "tcp://[::1]:5000", as libzmq reports what it bound, to "zmq://[::1]:5000". */
export function fromTcpEndpoint(tcp: string): string {
  return tcp.replace(/^tcp:/, `${ZEROMQ_SCHEME}:`);
}

/** Resolves a host name to the first address the system gives. @throws the system's error */
export async function resolveEndpoint(at: HostPort): Promise<Endpoint> {
  const numeric = isIP(at.host) === 0 ? (await lookup(at.host)).address : at.host;
  return { tcp: `tcp://${bracket(numeric)}:${at.port}`, ipv6: isIPv6(numeric) };
}

function bracket(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
