/**
 * Statements on mDNS under the mesh's secret: who has it can say where a node is, and read which mesh it is of.
 *
 * Problem: anybody on the link can announce anything, and reads what is announced. Approach: one TXT record says all
 * that a reader needs and ends with an HMAC-SHA256 over it; names are HMACs too, so that they tell neither mesh nor
 * service. The MAC is over the bytes of the record as they stand in the packet, so a reader finds and checks it before
 * anything is decoded, in a few microseconds. Each sending is signed anew, with a sequence that only rises and an end
 * after which it is worth nothing. While the secret changes there are two: the first signs, both are accepted.
 *
 * key = HMAC(secret, "meshbus mdns 2" 0 mesh); MAC = HMAC(key, "record" 0, the strings before it with their length
 * bytes); an instance is 16 B of HMAC(key, "instance" 0 node id), a mesh's subtype 8 B of HMAC(key, "mesh"), both hex.
 *
 * A filter against strangers only: every member has the secret, and who a peer is, the handshake decides.
 * Source: RFC 2104 (HMAC), RFC 6763 section 6 (TXT).
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { parsePeerAddress } from "../../core/peer-address.ts";
import type { Announcement } from "../../ports/discovery.ts";
import { isNodeLabel, type MeshNames, namesOf } from "./service-names.ts";
import { ADDRESSES_MAX, SEALED_VERSION } from "./service-records.ts";

/** What a node says of itself on one interface. */
export type SealedStatement = {
  readonly nodeId: string;
  readonly epoch: number;
  /** Address of the interface it was said on: a stream of its own. */
  readonly at: string;
  /** Rises with each statement of that stream. */
  readonly sequence: number;
  readonly isGoodbye: boolean;
  readonly ttlMs: number;
  /** By the clock of who said it. */
  readonly untilMs: number;
  readonly addresses: readonly string[];
};

/** Longest that a statement may say it holds. */
export const SEALED_TTL_MS_MAX = 3_600_000;

const FIRST = Buffer.from(`\x03v=${SEALED_VERSION}`, "latin1");
const MAC_PREFIX = "mac=";
const MAC_CHARS = 43;
const MAC_STRING_BYTES = MAC_PREFIX.length + MAC_CHARS;
const STRINGS_MAX = 32;
const NUMBER = /^(0|[1-9]\d{0,15})$/;
const IPV4 = /^\d{1,3}(\.\d{1,3}){3}$/;

type SealKey = { readonly key: Buffer; readonly names: MeshNames };

export class RecordSeal {
  readonly #mesh: string;
  readonly #secrets: () => readonly Uint8Array[];
  #from: readonly Uint8Array[] = [];
  #keys: readonly SealKey[] = [];
  #sequence = 0;

  /** @param secrets one or two; another array when they have changed */
  constructor(mesh: string, secrets: () => readonly Uint8Array[]) {
    this.#mesh = mesh;
    this.#secrets = secrets;
  }

  /** Of the secret that signs, asking for all; another object when the secrets have changed. */
  get names(): MeshNames {
    return this.#current().names;
  }

  /** The strings of a node's TXT record, but for what `seal` adds. */
  body(self: Announcement, addresses: readonly string[], at: string, ttlMs: number): string[] {
    return [
      `v=${SEALED_VERSION}`,
      `id=${self.nodeId}`,
      `epoch=${self.epoch}`,
      `at=${at}`,
      `ttl=${Math.ceil(ttlMs / 1_000)}`,
      ...addresses.map((address, index) => `a${index}=${address}`),
    ];
  }

  /** The strings with sequence, end and MAC, as of now. */
  seal(body: readonly string[], isGoodbye: boolean, wallMs: number): string[] {
    this.#sequence = Math.max(this.#sequence + 1, Math.floor(wallMs));
    const ttl = body.find((text) => text.startsWith("ttl="))?.slice(4) ?? "0";
    const strings = [
      ...body,
      `seq=${this.#sequence}`,
      `until=${Math.floor(wallMs) + Number(ttl) * 1_000}`,
      ...(isGoodbye ? ["bye"] : []),
    ];
    const mac = macOf(this.#current().key, Buffer.concat(strings.map(lengthPrefixed)));
    return [...strings, `${MAC_PREFIX}${mac}`];
  }

  /** Reads the statement of a packet that was not decoded; undefined: there is none. */
  open(packet: Buffer): SealedStatement | "forged" | "malformed" | undefined {
    const from = packet.indexOf(FIRST);
    if (from === -1) return undefined;
    const strings: string[] = [];
    let at = from;
    for (let count = 0; count < STRINGS_MAX; count++) {
      const length = packet[at];
      if (length === undefined || at + 1 + length > packet.length) return "forged";
      const text = packet.toString("utf8", at + 1, at + 1 + length);
      if (length === MAC_STRING_BYTES && text.startsWith(MAC_PREFIX)) {
        const mac = packet.subarray(at + 1 + MAC_PREFIX.length, at + 1 + length);
        const isOurs = this.#isOurs(packet.subarray(from, at), mac);
        return isOurs ? (statementOf(strings) ?? "malformed") : "forged";
      }
      strings.push(text);
      at += 1 + length;
    }
    return "forged";
  }

  #isOurs(bytes: Buffer, mac: Buffer): boolean {
    this.#current();
    return this.#keys.some(({ key }) =>
      timingSafeEqual(mac, Buffer.from(macOf(key, bytes), "latin1")),
    );
  }

  #current(): SealKey {
    const secrets = this.#secrets();
    if (secrets !== this.#from) {
      this.#from = secrets;
      const keys = secrets.map((secret) => hmac(secret, `meshbus mdns 2\0${this.#mesh}`));
      const labels = keys.map((key) => `_k${hmac(key, "mesh").toString("hex", 0, 8)}`);
      this.#keys = keys.map((key, index) => {
        const own = labels[index] as string;
        const others = labels.filter((label) => label !== own);
        return { key, names: namesOf([own, ...others], (nodeId) => instanceLabel(key, nodeId)) };
      });
    }
    const [first] = this.#keys;
    if (first === undefined) throw new TypeError("a mesh with keys has a secret");
    return first;
  }
}

const hmac = (key: Uint8Array, text: string): Buffer =>
  createHmac("sha256", key).update(text).digest();

const macOf = (key: Buffer, bytes: Buffer): string =>
  createHmac("sha256", key).update("record\0").update(bytes).digest("base64url");

const instanceLabel = (key: Buffer, nodeId: string): string =>
  hmac(key, `instance\0${nodeId}`).toString("hex", 0, 16);

const lengthPrefixed = (text: string): Buffer => {
  const bytes = Buffer.from(text, "utf8");
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
};

/** Undefined: a member's mistake, or a later format of it. */
const statementOf = (strings: readonly string[]): SealedStatement | undefined => {
  const values = new Map<string, string>();
  for (const text of strings) {
    const equals = text.indexOf("=");
    const key = equals === -1 ? text : text.slice(0, equals);
    if (!values.has(key)) values.set(key, equals === -1 ? "" : text.slice(equals + 1));
  }
  const number = (key: string): number => {
    const text = values.get(key) ?? "";
    return NUMBER.test(text) ? Number(text) : Number.NaN;
  };
  const nodeId = values.get("id") ?? "";
  const at = values.get("at") ?? "";
  const [epoch, sequence, untilMs, ttl] = ["epoch", "seq", "until", "ttl"].map(number) as [
    number,
    number,
    number,
    number,
  ];
  const ttlMs = ttl * 1_000;
  const isWhole = [epoch, sequence, untilMs].every(Number.isSafeInteger);
  if (!isWhole || !(ttlMs >= 1_000 && ttlMs <= SEALED_TTL_MS_MAX)) return undefined;
  if (!isNodeLabel(nodeId) || !IPV4.test(at)) return undefined;
  const addresses: string[] = [];
  for (let index = 0; index < ADDRESSES_MAX; index++) {
    const address = values.get(`a${index}`);
    if (address === undefined) break;
    if (parsePeerAddress(address) === undefined) return undefined;
    addresses.push(address);
  }
  const isGoodbye = values.has("bye");
  return { nodeId, epoch, at, sequence, isGoodbye, ttlMs, untilMs, addresses };
};
