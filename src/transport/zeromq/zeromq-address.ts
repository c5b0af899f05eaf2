/**
 * The addresses of the ZeroMQ transport: "zmq://host:port" outside, "tcp://address:port" for libzmq. With keys the
 * outer one says whose key must answer there: "zmq://host:port?curve=...".
 *
 * Names are resolved here and never by libzmq, whose resolver would block the one I/O thread that all
 * sockets of the process share.
 */
import { lookup } from "node:dns/promises";
import { isIP, isIPv6 } from "node:net";
import { MeshError } from "../../errors.ts";
import { bracketHost, formatHostPort, type HostPort, parseHostPort } from "../host-port.ts";
import { formatCurveKey, parseCurveKey } from "./curve-key.ts";

export const ZEROMQ_SCHEME = "zmq";

/** The form libzmq takes, and whether the socket has to speak IPv6. */
export type Endpoint = { readonly tcp: string; readonly ipv6: boolean };

const CURVE = "?curve=";

export type ZeromqAddress = HostPort & { readonly serverKey: Uint8Array | undefined };

/** @throws MeshError INVALID_OPTIONS */
export function parseZeromqAddress(address: string): ZeromqAddress {
  const at = address.indexOf(CURVE);
  if (at < 0) return { ...parseHostPort(ZEROMQ_SCHEME, address), serverKey: undefined };
  const serverKey = parseCurveKey(address.slice(at + CURVE.length));
  if (serverKey === undefined) {
    const text = JSON.stringify(address.slice(0, 300));
    const message = `address ${text} has a key that is not 43 characters of base64url`;
    throw new MeshError("INVALID_OPTIONS", message);
  }
  return { ...parseHostPort(ZEROMQ_SCHEME, address.slice(0, at)), serverKey };
}

export function withCurveKey(address: string, key: Uint8Array): string {
  return `${address}${CURVE}${formatCurveKey(key)}`;
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
