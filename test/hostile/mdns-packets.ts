/** mDNS packets as a forger makes them: answers with one TXT record or many, and questions. */

const label = (text: string): Buffer =>
  Buffer.concat(
    [...text.split("."), ""].map((part) =>
      Buffer.from(`${String.fromCharCode(part.length)}${part}`, "latin1"),
    ),
  );

const header = (flags: number, questions: number, answers: number): Buffer => {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt16BE(flags, 2);
  bytes.writeUInt16BE(questions, 4);
  bytes.writeUInt16BE(answers, 6);
  return bytes;
};

const record = (name: string, type: number, ttl: number, data: Buffer): Buffer => {
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(type, 0);
  fixed.writeUInt16BE(1, 2);
  fixed.writeUInt32BE(ttl, 4);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([label(name), fixed, data]);
};

export type Text = {
  readonly name: string;
  readonly ttl?: number;
  readonly strings: readonly string[];
};

export const texts = (records: readonly Text[]): Buffer =>
  Buffer.concat([
    header(0x8400, 0, records.length),
    ...records.map(({ name, ttl = 120, strings }) =>
      record(
        `${name}._meshbus._tcp.local`,
        16,
        ttl,
        Buffer.concat(
          strings.map((each) =>
            Buffer.from(`${String.fromCharCode(each.length)}${each}`, "latin1"),
          ),
        ),
      ),
    ),
  ]);

/** A pointer that says goodbye. */
export const pointerGoodbye = (instance: string): Buffer =>
  Buffer.concat([header(0x8400, 0, 1), record("_meshbus._tcp.local", 12, 0, label(instance))]);

export const question = (name: string): Buffer =>
  Buffer.concat([header(0, 1, 0), label(name), Buffer.from([0, 12, 0, 1])]);

/** The genuine packet with other bytes in the place of some. */
export const changed = (packet: Buffer, from: string, to: string): Buffer =>
  Buffer.from(packet.toString("latin1").replaceAll(from, to), "latin1");

/** With the TTL of its statement turned to zero, which outside of a seal says goodbye. */
export const withoutLife = (packet: Buffer): Buffer => {
  const bytes = Buffer.from(packet);
  bytes.writeUInt32BE(0, bytes.indexOf("\x03v=2") - 6);
  return bytes;
};
