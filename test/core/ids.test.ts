import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  isNodeId,
  messageId,
  NODE_ID_RANDOM_BYTES,
  nodeIdFrom,
  parseMessageId,
} from "../../src/core/ids.ts";
import { EPOCH_MAX, SEQ_MAX } from "../../src/core/position.ts";
import { MeshError } from "../../src/errors.ts";

const randomBytes = fc.uint8Array({
  minLength: NODE_ID_RANDOM_BYTES,
  maxLength: NODE_ID_RANDOM_BYTES,
});

/** The same 100 bits as one number, digit by digit. */
const oracle = (bytes: Uint8Array): string => {
  let bits = 0n;
  for (const byte of bytes) bits = (bits << 8n) | BigInt(byte);
  bits >>= 4n;
  let text = "";
  for (let at = 0; at < 20; at++) {
    text = "0123456789abcdefghjkmnpqrstvwxyz".charAt(Number(bits & 31n)) + text;
    bits >>= 5n;
  }
  return text;
};

describe("node ids", () => {
  it("spell the first 100 bits in 20 characters", () => {
    fc.assert(
      fc.property(randomBytes, (bytes) => {
        const id = nodeIdFrom(bytes);
        expect(id).toBe(oracle(bytes));
        expect(isNodeId(id)).toBe(true);
      }),
    );
    expect(nodeIdFrom(new Uint8Array(13))).toBe("0".repeat(20));
    expect(nodeIdFrom(new Uint8Array(13).fill(255))).toBe("z".repeat(20));
  });

  it("are not made of too few bytes", () => {
    try {
      nodeIdFrom(new Uint8Array(12));
      expect.unreachable();
    } catch (error) {
      expect(MeshError.is(error, "INVALID_OPTIONS")).toBe(true);
    }
  });

  it("have one spelling: lower case, no i, l, o or u, 20 characters", () => {
    expect(isNodeId("0123456789abcdefghjk")).toBe(true);
    for (const letter of "iloUuA-_ ") expect(isNodeId("0".repeat(19) + letter)).toBe(false);
    for (const length of [0, 19, 21]) expect(isNodeId("0".repeat(length))).toBe(false);
    expect(isNodeId(`${"0".repeat(20)}\n`)).toBe(false);
  });
});

describe("message ids", () => {
  const node = nodeIdFrom(new Uint8Array(13).fill(7));

  it("give back the node and the position they were made of", () => {
    const epochs = fc.integer({ min: 0, max: EPOCH_MAX });
    fc.assert(
      fc.property(randomBytes, epochs, fc.maxSafeNat(), (bytes, epoch, seq) => {
        const nodeId = nodeIdFrom(bytes);
        expect(parseMessageId(messageId(nodeId, epoch, seq))).toEqual({ nodeId, epoch, seq });
      }),
    );
    expect(messageId(node, EPOCH_MAX, SEQ_MAX)).toBe(`${node}-1z141z3-2gosa7pa2gv`);
  });

  it("are told from ids that a caller chose", () => {
    const wrong = [
      "",
      "order-1-2",
      node,
      `${node}-1`,
      `${node}-1-2-3`,
      `${node}-01-2`,
      `${node}-1-`,
    ];
    wrong.push(
      `${node}-A-1`,
      `${node}-1z141z4-1`,
      `${node}-1-2gosa7pa2gw`,
      `${node}-1-zzzzzzzzzzzz`,
    );
    for (const text of wrong) expect(parseMessageId(text), text).toBeUndefined();
  });
});
