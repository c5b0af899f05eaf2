/**
 * A node as DNS-SD records: what it announces, built from its announcement.
 *
 * The set: PTR (type -> instance), PTR (mesh subtype -> instance), SRV and TXT of the instance, A or
 * AAAA of the host. TXT keys: `v` (format, 1), `mesh`, `id`, `epoch`, `a0`..`a7` (dialable addresses,
 * best first), `service` (optional). Unknown keys are for later versions.
 *
 * Invariants: the whole set makes one message of at most 1,300 bytes, so that it is never fragmented;
 * what does not fit is left out from the end and reported. PTRs are shared, the rest is unique and
 * carries the cache-flush bit. Source: RFC 6763 sections 4 to 7, RFC 6762 section 10.2.
 */

import type { PeerAddress } from "../../core/peer-address.ts";
import {
  formatPeerAddress,
  isIpv4,
  isWildcard,
  parsePeerAddress,
} from "../../core/peer-address.ts";
import type { Announcement } from "../../ports/discovery.ts";
import type { DnsRecord } from "./dns-record.ts";
import { messageBytes, utf8Bytes } from "./dns-record.ts";
import {
  isNodeLabel,
  META_QUERY,
  type MeshNames,
  openNames,
  SERVICE_TYPE,
} from "./service-names.ts";

/** Most bytes of one message of ours. */
export const MESSAGE_BYTES_MAX = 1_300;
/** Most addresses in one announcement. */
export const ADDRESSES_MAX = 8;
/** The value of the TXT key `v`. */
export const FORMAT_VERSION = "1";
/** Of nodes with keys. */
export const SEALED_VERSION = "2";
/** Most bytes of a mesh's name on mDNS. */
export const MESH_BYTES_MAX = 200;

const SERVICE_BYTES_MAX = 100;
/** A string of a TXT record has 255 B, with the key. */
const ADDRESS_BYTES_MAX = 252;

export type ServiceRecords = {
  readonly typePointer: DnsRecord;
  readonly meshPointer: DnsRecord;
  /** Answers the meta-query only, never announced. */
  readonly metaPointer: DnsRecord;
  readonly server: DnsRecord;
  readonly text: DnsRecord;
  readonly host: DnsRecord;
  /** The addresses that fitted, with wildcards replaced. */
  readonly addresses: readonly string[];
  /** How many addresses did not fit or are not addresses. */
  readonly omitted: number;
};

/** How the records of nodes with keys differ. */
export type SealedRecords = {
  readonly names: MeshNames;
  text(addresses: readonly string[]): string[];
};

/** Room for what a seal adds to the text at each sending. */
const SEAL_BYTES = 100;

/**
 * The records of a node on one interface, or the reason why there can be none.
 *
 * @param interfaceAddress IPv4 address of the interface; stands in for 0.0.0.0 and ::.
 */
export function buildServiceRecords(
  self: Announcement,
  interfaceAddress: string,
  ttlMs: number,
  sealed?: SealedRecords,
): ServiceRecords | { readonly refused: string } {
  if (!isNodeLabel(self.nodeId)) {
    return { refused: `node id ${JSON.stringify(self.nodeId)} is not a DNS label of at most 63` };
  }
  const meshBytes = utf8Bytes(self.mesh);
  if (meshBytes > MESH_BYTES_MAX) {
    return { refused: `mesh name of ${meshBytes} B exceeds ${MESH_BYTES_MAX} B` };
  }
  const addresses = dialable(self.addresses, interfaceAddress);
  const { names, text } = sealed ?? {
    names: openNames(self.mesh),
    text: (texts: readonly string[]) => textStrings(self, texts),
  };
  const sealBytes = sealed === undefined ? 0 : SEAL_BYTES;
  const form = { self, names, text, interfaceAddress, ttlSeconds: Math.ceil(ttlMs / 1_000) };
  for (let count = Math.min(addresses.length, ADDRESSES_MAX); count > 0; count -= 1) {
    const kept = addresses.slice(0, count);
    const records = recordsOf(form, kept);
    if (messageBytes([], announcedRecords(records)) + sealBytes <= MESSAGE_BYTES_MAX) {
      return { ...records, omitted: self.addresses.length - count };
    }
  }
  return { refused: `none of ${self.addresses.length} addresses can be announced` };
}

/** The records an announcement carries, in order. */
export function announcedRecords(records: Omit<ServiceRecords, "omitted">): DnsRecord[] {
  return [records.meshPointer, records.typePointer, records.server, records.text, records.host];
}

/** The same records, saying goodbye (RFC 6762 section 10.1). */
export function goodbyeRecords(records: ServiceRecords): DnsRecord[] {
  return announcedRecords(records).map((record) => ({ ...record, ttlSeconds: 0 }));
}

function dialable(texts: readonly string[], interfaceAddress: string): PeerAddress[] {
  const unique = new Map<string, PeerAddress>();
  for (const text of texts) {
    const parsed = parsePeerAddress(text);
    if (parsed === undefined) continue;
    const address = isWildcard(parsed) ? { ...parsed, host: interfaceAddress } : parsed;
    const shown = formatPeerAddress(address);
    if (utf8Bytes(shown) <= ADDRESS_BYTES_MAX) unique.set(shown, address);
  }
  return [...unique.values()];
}

type Form = Pick<SealedRecords, "names" | "text"> & {
  readonly self: Announcement;
  readonly interfaceAddress: string;
  readonly ttlSeconds: number;
};

function recordsOf(
  { self, names, text, interfaceAddress, ttlSeconds }: Form,
  addresses: readonly PeerAddress[],
): Omit<ServiceRecords, "omitted"> {
  const instance = names.instance(self.nodeId);
  const target = names.host(self.nodeId);
  const texts = addresses.map(formatPeerAddress);
  const shared = { type: "PTR", ttlSeconds, flush: false } as const;
  const unique = { ttlSeconds, flush: true } as const;
  const port = addresses.find((address) => address.port !== undefined)?.port ?? 0;
  return {
    addresses: texts,
    typePointer: { ...shared, name: SERVICE_TYPE, data: instance },
    meshPointer: { ...shared, name: names.questions[0] ?? SERVICE_TYPE, data: instance },
    metaPointer: { ...shared, name: META_QUERY, data: SERVICE_TYPE },
    server: { ...unique, type: "SRV", name: instance, data: { port, target } },
    text: { ...unique, type: "TXT", name: instance, data: text(texts) },
    host: { ...unique, name: target, ...hostData(addresses[0], interfaceAddress) },
  };
}

function textStrings(self: Announcement, addresses: readonly string[]): string[] {
  const strings = [
    `v=${FORMAT_VERSION}`,
    `mesh=${self.mesh}`,
    `id=${self.nodeId}`,
    `epoch=${self.epoch}`,
    ...addresses.map((address, index) => `a${index}=${address}`),
  ];
  const serviceBytes = utf8Bytes(self.service);
  if (serviceBytes > 0 && serviceBytes <= SERVICE_BYTES_MAX)
    strings.push(`service=${self.service}`);
  return strings;
}

function hostData(
  first: PeerAddress | undefined,
  interfaceAddress: string,
): { readonly type: "A" | "AAAA"; readonly data: string } {
  const host = first?.host ?? "";
  if (isIpv4(host)) return { type: "A", data: host };
  // A scope id means nothing on another host, and the record has no room for it.
  if (first?.port !== undefined && host.includes(":") && !host.includes("%")) {
    return { type: "AAAA", data: host };
  }
  return { type: "A", data: interfaceAddress };
}
