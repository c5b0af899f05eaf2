/**
 * Which packets are worth decoding. Anyone on the link can send any bytes at any rate.
 *
 * Approach, cheapest check first: size and header (a packet that cannot hold the records it claims is
 * malformed), then whether one of our names occurs at all (most mDNS traffic is about printers and
 * televisions), then a rate for each sender and one for all. Last, name pointers that point to name
 * pointers: the decoder follows such a chain anew for every record, 34 ms for one packet of 9,000 bytes.
 *
 * Invariants: at most 400 + 200 t packets pass in any t seconds, at most 200 + 100 t of one remote
 * sender; at most 256 senders are remembered.
 */
import { HEADER_BYTES } from "./dns-record.ts";
import { SenderRates } from "./sender-rates.ts";

/** Largest packet read: ours stay below 1,300 B, and others' fit an Ethernet frame. */
export const PACKET_BYTES_MAX = 1_500;

export type GateVerdict = "pass" | "foreign" | "malformed" | "limited";

const NAMES = ["_meshbus", "_services"];
/** Honest packets have next to none; bytes of other data may look like some. */
const CHAINED_POINTERS_MAX = 32;
const QUESTION_BYTES_MIN = 5;
const RECORD_BYTES_MIN = 11;
/** Operation and result code: anything but zero must be ignored (RFC 6762 section 18). */
const OPERATION_AND_RESULT = 0x780f;

export class PacketGate {
  readonly #rates = new SenderRates(400, 200);
  readonly #names: readonly string[];

  /** @param host label that queries for the node's own host name hold */
  constructor(host: string) {
    this.#names = [...NAMES, host];
  }

  /** `local` senders are bound by the rate for all only: every process of this host is one sender. */
  judge(packet: Buffer, sender: string, local: boolean, nowMs: number): GateVerdict {
    if (packet.length < HEADER_BYTES) return "malformed";
    if ((packet.readUInt16BE(2) & OPERATION_AND_RESULT) !== 0) return "foreign";
    const questions = packet.readUInt16BE(4);
    const records = packet.readUInt16BE(6) + packet.readUInt16BE(8) + packet.readUInt16BE(10);
    const bytesMin = HEADER_BYTES + questions * QUESTION_BYTES_MIN + records * RECORD_BYTES_MIN;
    if (bytesMin > packet.length) return "malformed";
    if (!this.#names.some((name) => packet.includes(name, HEADER_BYTES, "latin1")))
      return "foreign";
    if (packet.length > PACKET_BYTES_MAX) return "malformed";
    if (!this.#rates.admit(sender, local, nowMs)) return "limited";
    return chainedPointers(packet) > CHAINED_POINTERS_MAX ? "malformed" : "pass";
  }
}

/** Places that would be a pointer (RFC 1035 section 4.1.4) to something that would be one as well. */
function chainedPointers(packet: Buffer): number {
  let count = 0;
  for (let at = HEADER_BYTES; at + 1 < packet.length; at += 1) {
    const high = packet[at] ?? 0;
    if (high < 0xc0) continue;
    const target = ((high & 0x3f) << 8) | (packet[at + 1] ?? 0);
    if (target < at && (packet[target] ?? 0) >= 0xc0) count += 1;
  }
  return count;
}
