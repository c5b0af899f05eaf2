/**
 * What one side believes of a node that the other side speaks of.
 *
 * Invariants: an entry is taken whole or not at all; an address is one that could be dialled; addresses of
 * loopback and Unix sockets count only where the other side is on loopback, for they mean this host.
 */
import { isNodeId } from "../core/ids.ts";
import {
  formatPeerAddress,
  isHostLocal,
  isWildcard,
  parsePeerAddress,
} from "../core/peer-address.ts";
import { isName } from "../options/names.ts";
import type { NodeEntry } from "./directory-messages.ts";

/** The other side, as its connection shows it. */
export type OtherSide = {
  /** Its host; stands for a wildcard. */
  readonly host: string;
  readonly isLoopback: boolean;
};

/** The entry as it may be used, possibly without addresses; or what is wrong with it. */
export const checkedEntry = (entry: NodeEntry, from: OtherSide): NodeEntry | string => {
  const { nodeId, service, epoch } = entry;
  if (!isNodeId(nodeId)) return `"${nodeId.slice(0, 80)}" is not a node id`;
  if (!isName(service)) return `"${service.slice(0, 80)}" is not the name of a service`;
  const addresses = new Set<string>();
  for (const text of entry.addresses) {
    const said = parsePeerAddress(text);
    if (said === undefined) return `"${text.slice(0, 80)}" is not an address`;
    const address = isWildcard(said) ? { ...said, host: from.host } : said;
    if (from.isLoopback || !isHostLocal(address)) addresses.add(formatPeerAddress(address));
  }
  return { nodeId, service, epoch, addresses: [...addresses] };
};

/** The entry without addresses that mean nothing on another host. */
export const withoutHostLocal = (entry: NodeEntry): NodeEntry => {
  const { addresses } = entry;
  const kept = addresses.filter((text) => {
    const address = parsePeerAddress(text);
    return address !== undefined && !isHostLocal(address);
  });
  return kept.length === addresses.length ? entry : { ...entry, addresses: kept };
};

/** The entry without addresses that only its sender could give a host. */
export const withoutWildcards = (entry: NodeEntry): NodeEntry => {
  const addresses = entry.addresses.filter((text) => {
    const address = parsePeerAddress(text);
    return address !== undefined && !isWildcard(address);
  });
  return { ...entry, addresses };
};

/** Whether a host, as an address of the system, is this one over loopback. */
export const isLoopbackIp = (host: string): boolean =>
  isHostLocal({ scheme: "tcp", host, port: 1 });

export const isSameEntry = (a: NodeEntry, b: NodeEntry): boolean =>
  a.epoch === b.epoch && a.service === b.service && a.addresses.join() === b.addresses.join();
