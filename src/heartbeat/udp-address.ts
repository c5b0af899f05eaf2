/** Addresses of heartbeats: "udp://host:port", IPv6 hosts in brackets. What `format` gives, `parse` reads back. */
import { isIPv6 } from "node:net";

export type UdpAddress = { readonly host: string; readonly port: number };

const ADDRESS = /^udp:\/\/(?:\[([^[\]]{1,255})\]|([^:/[\]]{1,255})):(\d{1,5})$/;

/** Undefined: it is none. */
export const parseUdpAddress = (text: string): UdpAddress | undefined => {
  const match = ADDRESS.exec(text);
  const bracketed = match?.[1];
  const host = bracketed ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || (bracketed !== undefined && !isIPv6(bracketed))) return undefined;
  return port >= 1 && port <= 65_535 ? { host, port } : undefined;
};

export const formatUdpAddress = ({ host, port }: UdpAddress): string =>
  `udp://${host.includes(":") ? `[${host}]` : host}:${port}`;
