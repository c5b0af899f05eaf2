/**
 * The few DNS values this package speaks: five record types, a question, a message.
 *
 * Problem: the packet library's types cover all of DNS and hold buffers. Approach: our own small
 * immutable values, which the pure modules use and the socket shell converts. Other record types are
 * dropped at the border. Source: RFC 1035 section 3.2, RFC 2782 (SRV), RFC 6762 sections 10.2 and 18.
 */

type RecordBase = {
  readonly name: string;
  readonly ttlSeconds: number;
  /** The cache-flush bit: this record set replaces what was known. Only on unique records. */
  readonly flush: boolean;
};

export type DnsRecord =
  | (RecordBase & { readonly type: "PTR" | "A" | "AAAA"; readonly data: string })
  | (RecordBase & {
      readonly type: "SRV";
      readonly data: { readonly port: number; readonly target: string };
    })
  | (RecordBase & { readonly type: "TXT"; readonly data: readonly string[] });

export type DnsQuestion = {
  readonly name: string;
  /** "PTR", "SRV", "ANY"; "UNKNOWN_n" for what the library does not know. */
  readonly type: string;
  /** The QU bit: a unicast answer is welcome. */
  readonly unicast: boolean;
};

export type DnsMessage = {
  readonly kind: "query" | "response";
  readonly id: number;
  /** In a query: more known answers follow in another packet. */
  readonly truncated: boolean;
  readonly questions: readonly DnsQuestion[];
  /** In a query: the known answers. */
  readonly answers: readonly DnsRecord[];
  readonly additionals: readonly DnsRecord[];
};

/** Bytes of the fixed DNS header. */
export const HEADER_BYTES = 12;

const encoder = new TextEncoder();

/** Bytes of a text in UTF-8. */
export function utf8Bytes(text: string): number {
  return encoder.encode(text).length;
}

/** Bytes of a record on the wire, without name compression (the library writes none). */
export function recordBytes(record: DnsRecord): number {
  return nameBytes(record.name) + 10 + dataBytes(record);
}

/** Bytes of a message's questions and records with its header. */
export function messageBytes(
  questionNames: readonly string[],
  records: readonly DnsRecord[],
): number {
  let bytes = HEADER_BYTES;
  for (const name of questionNames) bytes += nameBytes(name) + 4;
  for (const record of records) bytes += recordBytes(record);
  return bytes;
}

/** DNS names compare without regard to ASCII case. */
export function sameName(a: string, b: string): boolean {
  return a === b || a.toLowerCase() === b.toLowerCase();
}

function nameBytes(name: string): number {
  return utf8Bytes(name) + 2;
}

function dataBytes(record: DnsRecord): number {
  switch (record.type) {
    case "A":
      return 4;
    case "AAAA":
      return 16;
    case "PTR":
      return nameBytes(record.data);
    case "SRV":
      return 6 + nameBytes(record.data.target);
    case "TXT":
      return record.data.reduce((sum, text) => sum + 1 + utf8Bytes(text), 0);
  }
}
