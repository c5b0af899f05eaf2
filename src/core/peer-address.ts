/**
 * Addresses of peers as text: "zmq://host:port", "tcp://", "grpc://", "unix:///path", bare "host:port". A ZeroMQ
 * address may say the public key that must answer there: "zmq://host:port?curve=<43 characters of base64url>".
 *
 * Problem: operators type addresses and strangers on the network send them; both must be checked before
 * a transport is asked to dial. Approach: one strict parser for both. It checks the form only: whether
 * a transport of that scheme exists is known further up.
 * Invariant: a parsed address, formatted again, parses to the same value.
 */

export type PeerAddress = {
  /** Without "://": "zmq". */
  readonly scheme: string;
  /** Host name or IP literal without brackets; the path for "unix". */
  readonly host: string;
  /** 1 to 65,535; absent for "unix". */
  readonly port?: number;
  /** Of "zmq" only: the CURVE public key of the listener, base64url without padding. */
  readonly curve?: string;
};

/** Longest address accepted, in bytes: with its key it fits one TXT string of 255. */
export const ADDRESS_BYTES_MAX = 240;

const SCHEME = /^([a-z][a-z0-9+.-]{0,15}):\/\/(.+)$/;
const HOST = /^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?$/;
const IPV6 = /^[0-9A-Fa-f:.]{2,45}(%[A-Za-z0-9_.-]{1,16})?$/;
const PRINTABLE = /^[\x21-\x7e]+$/;
const DEFAULT_SCHEME = "zmq";
/** 32 bytes: the last of 43 characters carries four bits, so two of its bits are zero. */
const CURVE = /\?curve=([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])$/;

/** The address, or undefined when it is not one. A missing scheme means "zmq". */
export function parsePeerAddress(text: string): PeerAddress | undefined {
  if (text.length > ADDRESS_BYTES_MAX || !PRINTABLE.test(text)) return undefined;
  const match = SCHEME.exec(text);
  if (match === null) {
    return text.includes("://") ? undefined : parseZeromq(text);
  }
  const [, scheme = "", rest = ""] = match;
  if (scheme === "unix") return rest.startsWith("/") ? { scheme, host: rest } : undefined;
  return scheme === DEFAULT_SCHEME ? parseZeromq(rest) : parseHostPort(scheme, rest);
}

/** The canonical text of an address: "zmq://[::1]:7400". */
export function formatPeerAddress(address: PeerAddress): string {
  const { scheme, host, port, curve } = address;
  if (port === undefined) return `${scheme}://${host}`;
  const at = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  return curve === undefined ? `${scheme}://${at}` : `${scheme}://${at}?curve=${curve}`;
}

/** True for 0.0.0.0 and ::, which name every interface of the listener and nothing a peer can dial. */
export function isWildcard(address: PeerAddress): boolean {
  return address.host === "0.0.0.0" || address.host === "::";
}

/** True for schemes whose addresses name no host: whoever is reached by one is here. */
export function isHostless(scheme: string): boolean {
  return scheme === "unix" || scheme === "inproc";
}

/** True when only processes of the same host can reach it. */
export function isHostLocal(address: PeerAddress): boolean {
  if (isHostless(address.scheme)) return true;
  const host = address.host.toLowerCase();
  return isIpv4(host)
    ? host.startsWith("127.")
    : host === "::1" || host === "localhost" || host.startsWith("::ffff:127.");
}

/** True for a dotted quad without leading zeros. */
export function isIpv4(text: string): boolean {
  return /^(25[0-5]|2[0-4]\d|1?\d?\d)(\.(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/.test(text)
    ? !/^0\d/.test(text)
    : false;
}

function parseZeromq(text: string): PeerAddress | undefined {
  const match = CURVE.exec(text);
  if (match === null) return parseHostPort(DEFAULT_SCHEME, text);
  const at = parseHostPort(DEFAULT_SCHEME, text.slice(0, match.index));
  return at === undefined ? undefined : { ...at, curve: match[1] as string };
}

function parseHostPort(scheme: string, text: string): PeerAddress | undefined {
  const colon = text.lastIndexOf(":");
  if (colon <= 0) return undefined;
  const portText = text.slice(colon + 1);
  const port = /^[1-9]\d{0,4}$/.test(portText) ? Number(portText) : 0;
  if (port < 1 || port > 65_535) return undefined;
  const bracketed = text.slice(0, colon);
  if (bracketed.startsWith("[") && bracketed.endsWith("]")) {
    const host = bracketed.slice(1, -1);
    return IPV6.test(host) && host.includes(":") ? { scheme, host, port } : undefined;
  }
  if (!HOST.test(bracketed)) return undefined;
  // "1.2.3" and "300.1.1.1" would be read as host names and fail much later, in the resolver.
  if (/^[\d.]+$/.test(bracketed) && !isIpv4(bracketed)) return undefined;
  return { scheme, host: bracketed, port };
}
