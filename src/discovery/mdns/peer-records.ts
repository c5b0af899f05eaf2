/**
 * Reading what others announce: DNS records in, peers out. Any host on the link can send anything.
 *
 * Approach: the TXT record is the statement; SRV and A only stand in for a missing address (an
 * announcement made with standard tools). A record is taken whole or not at all: one wrong field makes
 * it malformed, counted and forgotten. A TTL of 0 is a goodbye; a lone PTR with TTL 0 is one as well.
 *
 * Invariants: never throws; at most 32 peers from one message; at most 8 addresses a peer; unix and
 * loopback addresses are kept only when the sender is on this host, as they mean nothing elsewhere.
 */
import {
  formatPeerAddress,
  isHostLocal,
  isWildcard,
  parsePeerAddress,
} from "../../core/peer-address.ts";
import type { DnsMessage, DnsRecord } from "./dns-record.ts";
import { sameName, utf8Bytes } from "./dns-record.ts";
import { nodeIdOfInstance } from "./service-names.ts";
import {
  ADDRESSES_MAX,
  FORMAT_VERSION,
  MESH_BYTES_MAX,
  SEALED_VERSION,
} from "./service-records.ts";

export type PeerRecord = {
  readonly nodeId: string;
  readonly mesh: string;
  readonly epoch: number;
  readonly service?: string;
  readonly addresses: readonly string[];
  /** As stated by the sender; never 0. */
  readonly ttlMs: number;
};

/** `epoch` and `mesh` are absent when only a PTR said goodbye. */
export type PeerGoodbye = {
  readonly nodeId: string;
  readonly epoch?: number;
  readonly mesh?: string;
};

export type ParsedRecords = {
  readonly alive: readonly PeerRecord[];
  readonly goodbyes: readonly PeerGoodbye[];
  readonly malformed: number;
  /** Statements that only members of a mesh with keys can read. */
  readonly sealed: number;
};

const PEERS_PER_MESSAGE_MAX = 32;
const TXT_STRINGS_MAX = 32;
const SERVICE_BYTES_MAX = 200;
const EPOCH = /^(0|[1-9]\d{0,15})$/;

type TextRecord = Extract<DnsRecord, { type: "TXT" }>;

/** Reads every peer out of a response. `senderIsLocal`: the packet came from this host. */
export function parsePeerRecords(message: DnsMessage, senderIsLocal: boolean): ParsedRecords {
  const records = [...message.answers, ...message.additionals];
  const alive: PeerRecord[] = [];
  const goodbyes: PeerGoodbye[] = [];
  const stated = new Set<string>();
  let malformed = 0;
  let sealed = 0;
  for (const record of records) {
    if (record.type !== "TXT" || !record.name.toLowerCase().includes("_meshbus.")) continue;
    if (stated.size >= PEERS_PER_MESSAGE_MAX) {
      malformed += 1;
      break;
    }
    const peer = readText(record, records, senderIsLocal);
    if (peer === undefined) malformed += 1;
    else if (peer === "sealed") sealed += 1;
    else if (peer !== "otherVersion") {
      stated.add(peer.nodeId);
      const { nodeId, epoch, mesh } = peer;
      if (record.ttlSeconds === 0) goodbyes.push({ nodeId, epoch, mesh });
      else if (peer.addresses.length > 0) alive.push(peer);
    }
  }
  for (const record of records) {
    if (record.type !== "PTR" || record.ttlSeconds !== 0) continue;
    const nodeId = nodeIdOfInstance(record.data);
    if (nodeId === undefined || stated.has(nodeId)) continue;
    if (stated.size >= PEERS_PER_MESSAGE_MAX) break;
    stated.add(nodeId);
    goodbyes.push({ nodeId });
  }
  return { alive, goodbyes, malformed, sealed };
}

function readText(
  record: TextRecord,
  records: readonly DnsRecord[],
  senderIsLocal: boolean,
): PeerRecord | "otherVersion" | "sealed" | undefined {
  const instance = nodeIdOfInstance(record.name);
  const values = textValues(record.data);
  if (instance === undefined || values === undefined) return undefined;
  const version = values.get("v");
  if (version === undefined || !/^\d{1,4}$/.test(version)) return undefined;
  if (version === SEALED_VERSION) return "sealed";
  if (version !== FORMAT_VERSION) return "otherVersion";
  const epochText = values.get("epoch") ?? "";
  const epoch = EPOCH.test(epochText) ? Number(epochText) : -1;
  const mesh = values.get("mesh");
  if (values.get("id") !== instance || !Number.isSafeInteger(epoch) || epoch < 0) return undefined;
  if (mesh === undefined || utf8Bytes(mesh) > MESH_BYTES_MAX) return undefined;
  const service = values.get("service");
  if (service !== undefined && utf8Bytes(service) > SERVICE_BYTES_MAX) return undefined;
  const stated = statedAddresses(values) ?? serverAddresses(record.name, records);
  if (stated === undefined) return undefined;
  const addresses = usableAddresses(stated, senderIsLocal);
  if (addresses === undefined) return undefined;
  const peer = { nodeId: instance, mesh, epoch, addresses, ttlMs: record.ttlSeconds * 1_000 };
  return service === undefined ? peer : { ...peer, service };
}

/** Key and value pairs; the first of a repeated key counts (RFC 6763 section 6.4). */
function textValues(strings: readonly string[]): Map<string, string> | undefined {
  if (strings.length > TXT_STRINGS_MAX) return undefined;
  const values = new Map<string, string>();
  for (const text of strings) {
    const equals = text.indexOf("=");
    if (equals === 0 || text.includes("\ufffd")) return undefined;
    const key = (equals === -1 ? text : text.slice(0, equals)).toLowerCase();
    if (!values.has(key)) values.set(key, equals === -1 ? "" : text.slice(equals + 1));
  }
  return values;
}

/** `a0`, `a1`... without a gap; undefined when there is none. */
function statedAddresses(values: ReadonlyMap<string, string>): string[] | undefined {
  const addresses: string[] = [];
  for (let index = 0; index < ADDRESSES_MAX; index += 1) {
    const address = values.get(`a${index}`);
    if (address === undefined) break;
    addresses.push(address);
  }
  return addresses.length > 0 ? addresses : undefined;
}

/** The address that SRV and A or AAAA give together, dialled over the default transport. */
function serverAddresses(instance: string, records: readonly DnsRecord[]): string[] | undefined {
  for (const server of records) {
    if (server.type !== "SRV" || !sameName(server.name, instance)) continue;
    const { port, target } = server.data;
    for (const host of records) {
      if ((host.type !== "A" && host.type !== "AAAA") || !sameName(host.name, target)) continue;
      return [host.type === "A" ? `${host.data}:${port}` : `[${host.data}]:${port}`];
    }
  }
  return undefined;
}

/** Those that mean something here; undefined when one is no address. */
export function usableAddresses(
  texts: readonly string[],
  senderIsLocal: boolean,
): string[] | undefined {
  const addresses: string[] = [];
  for (const text of texts) {
    const address = parsePeerAddress(text);
    if (address === undefined) return undefined;
    if (isWildcard(address) || (isHostLocal(address) && !senderIsLocal)) continue;
    addresses.push(formatPeerAddress(address));
  }
  return addresses;
}
