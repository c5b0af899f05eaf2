import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { seal, sealKey } from "../../src/heartbeat/datagram-seal.ts";
import {
  DATAGRAM_BYTES,
  type HeartbeatDatagram,
  readDatagram,
  writeDatagram,
} from "../../src/wire/heartbeat-datagram.ts";

const sample: HeartbeatDatagram = {
  kind: "answer",
  lagMs: 1_234,
  sentUs: 0x0102_0304_0506_0708n,
  from: "0123456789abcdefghjk",
  to: "zyxwvtsrqpnmkjhgfedc",
};

/** As docs/protocol.md shows it. */
const GOLDEN =
  "6d62683102000000d2040000000000000807060504030201" +
  "303132333435363738396162636465666768" +
  "6a6b7a7978777674737271706e6d6b6a686766656463";
/** Computed apart from the code, with nonces of sixteen 01 and sixteen 02. */
const SEAL = "a76c761f2d2ac01144a3bcc188e2d2e5";

describe("the heartbeat's datagram", () => {
  it("has the bytes of the specification, and the seal of its sender and receiver", () => {
    const bytes = writeDatagram(sample);
    expect(Buffer.from(bytes.subarray(0, 64)).toString("hex")).toBe(GOLDEN);
    const key = sealKey(new Uint8Array(16).fill(1), new Uint8Array(16).fill(2));
    const sealed = seal(bytes, key);
    expect(Buffer.from(sealed.subarray(64)).toString("hex")).toBe(SEAL);
  });

  it("is shown so by the specification", () => {
    const page = readFileSync(new URL("../../docs/protocol.md", import.meta.url), "utf8");
    expect(page.replace(/\s/g, "")).toContain(GOLDEN + SEAL);
  });

  it("is read back as it was written", () => {
    const id = fc.stringMatching(/^[0-9a-hjkmnp-tv-z]{20}$/);
    const datagram = fc.record<HeartbeatDatagram>({
      kind: fc.constantFrom("question", "answer"),
      lagMs: fc.integer({ min: 0, max: 0xffff_ffff }),
      sentUs: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      from: id,
      to: id,
    });
    fc.assert(
      fc.property(datagram, (each) => {
        expect(readDatagram(writeDatagram(each))).toEqual(each);
      }),
    );
  });

  it("is nothing else: any bytes are read or refused", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2 * DATAGRAM_BYTES }), (bytes) => {
        expect(readDatagram(bytes)).toBeUndefined();
      }),
    );
    for (let length = 0; length < DATAGRAM_BYTES; length++) {
      expect(readDatagram(writeDatagram(sample).subarray(0, length))).toBeUndefined();
    }
  });
});
