import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import protobuf from "protobufjs";
import { describe, expect, it } from "vitest";
import { INCARNATION_MAX, SWIM_STATES, VOUCH_MAX } from "../../src/core/swim/claim.ts";
import { HASHES_MAX, ROWS_MAX } from "../../src/core/swim/exchange.ts";
import { SWIM_KINDS, type SwimMessage } from "../../src/core/swim/swim-message.ts";
import { NEWS_MAX } from "../../src/core/swim/swim-outbox.ts";
import {
  decodeGossip,
  encodeGossip,
  GOSSIP_BYTES_MAX,
  GOSSIP_ITEMS_MAX,
  type GossipMessage,
} from "../../src/wire/gossip.ts";
import { WireError } from "../../src/wire/wire-error.ts";

const proto = fileURLToPath(new URL("../../proto/meshbus/v1/gossip.proto", import.meta.url));
const gossipType = new protobuf.Root().loadSync(proto).lookupType("meshbus.v1.Gossip");
const golden = JSON.parse(
  readFileSync(new URL("./golden/gossip.json", import.meta.url), "utf8"),
) as Record<string, string>;

const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
const numbers = fc.array(uint32, { maxLength: 5 });
const messages: fc.Arbitrary<GossipMessage> = fc.record({
  kind: fc.constantFrom(...SWIM_KINDS),
  number: uint32,
  target: fc.string({ maxLength: 30, unit: "grapheme" }),
  buckets: uint32,
  first: uint32,
  hashes: numbers,
  wanted: numbers,
  claims: fc.array(
    fc.record({
      id: fc.string({ maxLength: 30 }),
      epoch: uint32,
      incarnation: uint32,
      vouch: uint32,
      state: fc.constantFrom(...SWIM_STATES),
      accuser: fc.string({ maxLength: 30 }),
    }),
    { maxLength: 4 },
  ),
});

const toProto = (message: GossipMessage): Record<string, unknown> => ({
  ...message,
  kind: SWIM_KINDS.indexOf(message.kind),
  claims: message.claims.map((one) => ({ ...one, state: SWIM_STATES.indexOf(one.state) })),
});

const byProtobufjs = (message: GossipMessage): Buffer =>
  Buffer.from(gossipType.encode(gossipType.fromObject(toProto(message))).finish());

const SAMPLES: Record<string, GossipMessage> = {
  ping: {
    kind: "ping",
    number: 300,
    target: "",
    buckets: 0,
    first: 0,
    hashes: [],
    wanted: [],
    claims: [
      {
        id: "0123456789abcdefghjk",
        epoch: 1_750_000_000,
        incarnation: 2,
        vouch: 1,
        state: "suspect",
        accuser: "zyxwvtsrqpnmkjhgfedc",
      },
    ],
  },
  relay: {
    kind: "relay",
    number: 7,
    target: "0123456789abcdefghjk",
    buckets: 0,
    first: 0,
    hashes: [],
    wanted: [],
    claims: [],
  },
  digest: {
    kind: "digest",
    number: 0,
    target: "",
    buckets: 1_024,
    first: 512,
    hashes: [0, 1, 0xdead_beef],
    wanted: [],
    claims: [],
  },
  rows: {
    kind: "rows",
    number: 0,
    target: "",
    buckets: 1_024,
    first: 0,
    hashes: [],
    wanted: [3, 300],
    claims: [
      { id: "a", epoch: 1, incarnation: 0, vouch: 0, state: "left", accuser: "" },
      { id: "b", epoch: 2, incarnation: 0, vouch: 0, state: "alive", accuser: "" },
    ],
  },
};

describe("gossip", () => {
  it("is read back as it was written", () => {
    fc.assert(
      fc.property(messages, (message) => {
        expect(decodeGossip(encodeGossip(message))).toEqual(message);
      }),
    );
  });

  it("has the bytes that protobufjs writes from the specification, and reads them", () => {
    fc.assert(
      fc.property(messages, (message) => {
        const bytes = byProtobufjs(message);
        expect(Buffer.from(encodeGossip(message)).toString("hex")).toBe(bytes.toString("hex"));
        expect(decodeGossip(bytes)).toEqual(message);
      }),
    );
  });

  it.each(Object.entries(SAMPLES))("has pinned bytes: %s", (name, message) => {
    expect(Buffer.from(encodeGossip(message)).toString("hex")).toBe(golden[name]);
    expect(decodeGossip(Buffer.from(golden[name] ?? "", "hex"))).toEqual(message);
  });

  it("has golden bytes for samples only", () => {
    expect(Object.keys(golden)).toEqual(Object.keys(SAMPLES));
  });

  it("reads repeated numbers one by one too, and skips what it does not know", () => {
    const bytes = Buffer.from("0805 35 01000000 3803 3804 a00601".replaceAll(" ", ""), "hex");
    expect(decodeGossip(bytes)).toMatchObject({ kind: "digest", hashes: [1], wanted: [3, 4] });
  });

  it("refuses what is malformed with a WireError, whatever the bytes", () => {
    for (const hex of ["0807", "42022805", "0d01000000", "3203010203", "1a01ff", "3a0180", "08"]) {
      expect(() => decodeGossip(Buffer.from(hex, "hex")), hex).toThrow(WireError);
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          decodeGossip(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
        }
      }),
    );
  });

  it("refuses more than its limits", () => {
    const many = new Array<number>(GOSSIP_ITEMS_MAX + 1).fill(1);
    const sample = SAMPLES.digest as GossipMessage;
    expect(() => decodeGossip(encodeGossip({ ...sample, hashes: many }))).toThrow("more than 512");
    expect(() => decodeGossip(encodeGossip({ ...sample, wanted: many }))).toThrow("more than 512");
    expect(() => decodeGossip(new Uint8Array(GOSSIP_BYTES_MAX + 1))).toThrow("65537 B exceeds");
  });

  it("has room for the largest message that the core makes", () => {
    const row = {
      id: "a".repeat(64),
      epoch: 2 ** 32 - 1,
      incarnation: INCARNATION_MAX,
      vouch: VOUCH_MAX,
      state: "suspect",
      accuser: "b".repeat(64),
    } as const;
    const largest: SwimMessage = {
      ...(SAMPLES.rows as GossipMessage),
      wanted: new Array<number>(HASHES_MAX).fill(65_535),
      claims: new Array<typeof row>(Math.max(ROWS_MAX, NEWS_MAX + 1)).fill(row),
    };
    const bytes = encodeGossip(largest);
    expect(bytes.length).toBeLessThan(GOSSIP_BYTES_MAX);
    expect(decodeGossip(bytes)).toEqual(largest);
  });
});
