/**
 * Which of a node's addresses a peer had better dial: those over a transport that both have and that is
 * better than the one it came by.
 *
 * A peer that knows one address knows nothing of the others; the node it reached does, and learns from the
 * peer's own addresses which transports it has.
 *
 * Bound: ADDRESSES_MAX addresses are given, and taken from a peer.
 */
import { isHostless, parsePeerAddress } from "../../core/peer-address.ts";
import type { Transport } from "../../ports/transport.ts";
import type { HelloFrame, Identity } from "../../wire/handshake.ts";
import type { Refusal } from "./link-owner.ts";

/** Why a Hello is rejected: the peer is to dial one of the addresses that come with it. */
export const BETTER = "BETTER_ADDRESS";
/** As many as a node may have transports. */
export const ADDRESSES_MAX = 8;
const WILDCARD = /^(0\.0\.0\.0|\[::\]):/;

export type Speaker = Pick<Identity, "nodeId" | "addresses">;

/** How good the transport of an address is; -1: there is none. */
export const preferenceOf = (transports: readonly Transport[], address: string): number => {
  const transport = transportFor(transports, address);
  return transport?.preference ?? -1;
};

/** The transport that an address can be dialled with; undefined: there is none. */
export const transportFor = (
  transports: readonly Transport[],
  address: string,
): Transport | undefined => {
  const scheme = schemeOf(address);
  const transport = transports.find((one) => one.scheme === scheme);
  return (transport?.reaches?.(address) ?? true) ? transport : undefined;
};

/**
 * @param own what this node says of itself
 * @param scheme of the transport that the peer came by
 * @returns how to refuse a peer that is sent on; undefined when it may stay
 */
export const sendOn = (
  transports: readonly Transport[],
  own: Speaker,
  hello: HelloFrame,
  scheme: string,
): Refusal | undefined => {
  if (!hello.redirect) return undefined;
  // What leads from here to the peer leads from the peer to here.
  const shared = hello.identity.addresses.filter((one) => transportFor(transports, one));
  const schemes = new Set(shared.map(schemeOf));
  const reached = transports.find((one) => one.scheme === scheme)?.preference ?? -1;
  const addresses = own.addresses
    .filter((one) => schemes.has(schemeOf(one)) && preferenceOf(transports, one) > reached)
    .slice(0, ADDRESSES_MAX);
  if (addresses.length === 0) return undefined;
  const message = "both have a better transport";
  return { code: BETTER, message, addresses, nodeId: own.nodeId };
};

/**
 * What a node said of itself when it was reached at `through`: a wildcard host is the host that was dialled, or that it
 * came from: this one, where it came through a file or inside the process. Where that is no address, as of a caller over
 * ZeroMQ, it stays a wildcard.
 */
export const asReached = (addresses: readonly string[], through: string): readonly string[] => {
  const isHere = isHostless(schemeOf(through));
  if (!isHere && parsePeerAddress(through) === undefined) return addresses.slice(0, ADDRESSES_MAX);
  const host = isHere ? "127.0.0.1" : restOf(through).slice(0, restOf(through).lastIndexOf(":"));
  return addresses.slice(0, ADDRESSES_MAX).map((address) => {
    const rest = restOf(address);
    const wild = WILDCARD.exec(rest);
    if (wild === null) return address;
    return `${schemeOf(address)}://${host}${rest.slice(wild[1]?.length)}`;
  });
};

const schemeOf = (address: string): string => address.slice(0, address.indexOf("://"));

const restOf = (address: string): string => address.slice(address.indexOf("://") + 3);
