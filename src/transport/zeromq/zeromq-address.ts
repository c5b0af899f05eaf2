/**
 * The addresses of the ZeroMQ transport: "zmq://host:port" outside, "tcp://address:port" for libzmq.
 *
 * Names are resolved here and never by libzmq, whose resolver would block the one I/O thread that all
 * sockets of the process share.
 */
import { lookup } from "node:dns/promises";
import { isIP, isIPv6 } from "node:net";
import { bracketHost, formatHostPort, type HostPort, parseHostPort } from "../host-port.ts";

export const ZEROMQ_SCHEME = "zmq";

/** The form libzmq takes, and whether the socket has to speak IPv6. */
export type Endpoint = { readonly tcp: string; readonly ipv6: boolean };

/** @throws MeshError INVALID_OPTIONS */
export function parseZeromqAddress(address: string): HostPort {
  return parseHostPort(ZEROMQ_SCHEME, address);
}

export function formatZeromqAddress(at: HostPort): string {
  return formatHostPort(ZEROMQ_SCHEME, at);
}

/** "tcp://[::1]:5000", as libzmq reports what it bound, to "zmq://[::1]:5000". */
export function fromTcpEndpoint(tcp: string): string {
  return tcp.replace(/^tcp:/, `${ZEROMQ_SCHEME}:`);
}

/** Resolves a host name to the first address the system gives. @throws the system's error */
export async function resolveEndpoint(at: HostPort): Promise<Endpoint> {
  const numeric = isIP(at.host) === 0 ? (await lookup(at.host)).address : at.host;
  return { tcp: `tcp://${bracketHost(numeric)}:${at.port}`, ipv6: isIPv6(numeric) };
}
