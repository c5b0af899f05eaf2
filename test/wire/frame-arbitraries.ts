/** Every legal frame and envelope, for property tests. */
import fc from "fast-check";
import { SWIM_STATES } from "../../src/core/swim/claim.ts";
import { SWIM_KINDS } from "../../src/core/swim/swim-message.ts";
import type { Delivery, Section } from "../../src/wire/batch.ts";
import type { Bundle } from "../../src/wire/bundle.ts";
import type { SubscriptionRecord } from "../../src/wire/declare.ts";
import { type EnvelopeFields, EnvelopeTemplate, EnvelopeView } from "../../src/wire/envelope.ts";
import type { KnownFrame } from "../../src/wire/frames.ts";
import type { Identity } from "../../src/wire/handshake.ts";
import type { Nack } from "../../src/wire/settle.ts";

/** Near the powers of 128 and 2 where a varint's length or a number's shape changes. */
const EDGES = [0, 1, 127, 128, 16_383, 16_384, 2 ** 21, 2 ** 28 - 1, 2 ** 28, 2 ** 31 - 1, 2 ** 31];
const WIDE_EDGES = [2 ** 32, 2 ** 35 - 1, 2 ** 35, 2 ** 42, 2 ** 49, Number.MAX_SAFE_INTEGER];

export const uint32 = fc.oneof(
  fc.integer({ min: 0, max: 0xffff_ffff }),
  fc.constantFrom(...EDGES, 0xffff_ffff),
);
export const uint53 = fc.oneof(fc.maxSafeNat(), fc.constantFrom(...EDGES, ...WIDE_EDGES));
export const text = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({ unit: "binary", maxLength: 90 }),
  fc.constantFrom("", "\ufeffmark", "é".repeat(64), "x".repeat(300), "\ud83d\ude00".repeat(22)),
);
export const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));
export const time = fc.record({
  ms: fc.oneof(fc.integer({ min: 0, max: 2 ** 48 - 1 }), fc.constant(1_750_000_000_000)),
  counter: fc.integer({ min: 0, max: 0xffff }),
});

const few = <Value>(of: fc.Arbitrary<Value>): fc.Arbitrary<Value[]> =>
  fc.array(of, { maxLength: 4 });

const identity: fc.Arbitrary<Identity> = fc.record({
  mesh: text,
  nodeId: text,
  service: text,
  epoch: uint32,
  nonce: bytes,
  protocolMin: uint32,
  protocolMax: uint32,
  features: uint53,
  shardCount: uint32,
  hashId: text,
  frameBytesMax: uint32,
  addresses: few(text),
  time,
  heartbeat: text,
  jumped: uint32,
});

const role = fc.constantFrom("events", "commands", "queries");

const subscription: fc.Arbitrary<SubscriptionRecord> = fc.record({
  index: uint32,
  role,
  group: text,
  pattern: text,
  durable: fc.boolean(),
  birthTime: time,
  birthCreator: text,
  distribution: fc.constantFrom("key", "any"),
  failoverMove: fc.boolean(),
  holdOnDead: fc.boolean(),
  start: fc.constantFrom("new", "earliest", "time"),
  startTimeMs: uint53,
  weight: uint32,
  filter: few(fc.record({ name: text, value: text })),
  definedTime: time,
  versionMin: uint32,
  versionMax: uint32,
});

const delivery: fc.Arbitrary<Delivery> = fc
  .record({
    seq: uint53,
    keyHash: fc.oneof(fc.constant(-1), uint32),
    attempts: uint32,
    skip: uint32,
    remainingMs: fc.oneof(
      fc.constant(-1),
      uint53.map((ms) => Math.min(ms, 2 ** 53 - 2)),
    ),
    resume: fc.boolean(),
    bytes,
    cut: fc.nat({ max: 3 }),
  })
  .map(({ cut, ...rest }) => {
    const envelopeStart = Math.min(cut, rest.bytes.length);
    const envelopeEnd = Math.max(envelopeStart, rest.bytes.length - cut);
    return { ...rest, envelopeStart, envelopeEnd };
  });

/** Messages of a bundle with what lies around them in a frame. */
const bundle: fc.Arbitrary<Bundle> = fc
  .record({
    head: fc.record({
      subject: text.map((name) => `s${name}`),
      kind: fc.constantFrom(...([0, 1, 2] as const)),
      contentType: text,
      schemaVersion: uint32,
    }),
    rests: few(bytes),
    keyHashes: fc.option(fc.array(uint32, { minLength: 4, maxLength: 4 }), { nil: undefined }),
    gap: bytes,
  })
  .map(({ head, rests, keyHashes, gap }) => {
    const parts = [new EnvelopeTemplate(head).head, ...rests];
    const bounds: number[] = [];
    let at = 0;
    for (const part of parts) {
      bounds.push(at + gap.length, at + gap.length + part.length);
      at += gap.length + part.length;
    }
    const all = Buffer.concat(parts.flatMap((part) => [gap, part]));
    return {
      bytes: all,
      head: new EnvelopeView(all, bounds[0], bounds[1]),
      rests: bounds.slice(2),
      keyHashes: keyHashes?.slice(0, rests.length) ?? [],
    };
  });

const section: fc.Arbitrary<Section> = fc
  .record({
    subscription: uint32,
    first: uint53,
    epoch: uint32,
    volatile: fc.boolean(),
    floorEpoch: uint32,
    floorSeq: uint53,
    term: uint53,
    deliveries: few(delivery),
    bundles: few(bundle),
  })
  .map((section) => ({ ...section, bundles: section.volatile ? section.bundles : [] }));

const nack: fc.Arbitrary<Nack> = fc.record({
  number: uint53,
  outcome: fc.constantFrom("retry", "dead", "return"),
  delayMs: uint53,
  attempts: uint32,
  reason: text,
  errorName: text,
  errorMessage: text,
  earlier: few(fc.record({ name: text, message: text, agoMs: uint53 })),
});

const position = fc.record({ epoch: uint32, seq: uint53 });

const settleSection = fc.record({
  subscription: uint32,
  acked: few(fc.tuple(uint53, uint53)).map((pairs) => pairs.flat()),
  held: few(uint53),
  nacks: few(nack),
  released: few(position),
});

const credit = fc.record({
  subscription: uint32,
  numberLimit: uint53,
  bytesLimit: uint53,
  volatileNumberLimit: uint53,
  volatileBytesLimit: uint53,
  paused: fc.boolean(),
});

const tail = fc.record({
  subscription: uint32,
  last: uint53,
  floorEpoch: uint32,
  floorSeq: uint53,
});
const accepted = fc.record({
  subscription: uint32,
  epoch: uint32,
  seq: uint53,
  verdict: fc.constantFrom("yours", "other", "pending"),
  name: text,
});
const ended = fc.record({ role, group: text, pattern: text, time });
const holdEntry = fc.record({
  holder: text,
  term: uint53,
  phase: fc.constantFrom("claimed", "held", "moving", "released"),
  next: text,
  shards: few(fc.tuple(uint32, uint32)).map((pairs) => pairs.flat()),
});
const confirmation = fc.record({ subscription: uint32, code: text, message: text });
const remoteError = fc.record({
  name: text,
  message: text,
  code: text,
  details: text,
  refused: fc.boolean(),
});
const contentType = text.map((type) => (type === "" ? "application/json" : type));

const session = uint32;
const known = { knownEpoch: uint32, knownNonce: bytes };
const farewell = { session, code: text, message: text };
const is = <const Type extends KnownFrame["type"]>(type: Type) => fc.constant(type);

/** One arbitrary per frame type. */
export const FRAME_ARBITRARIES: {
  readonly [Type in KnownFrame["type"]]: fc.Arbitrary<Extract<KnownFrame, { type: Type }>>;
} = {
  hello: fc.record(
    {
      type: is("hello"),
      session,
      identity,
      targetNodeId: text,
      redirect: fc.boolean(),
      ...known,
      shown: fc.record({ nonce: bytes, chain: few(bytes) }),
    },
    {
      requiredKeys: [
        "type",
        "session",
        "identity",
        "targetNodeId",
        "redirect",
        "knownEpoch",
        "knownNonce",
      ],
    },
  ),
  challenge: fc.record({
    type: is("challenge"),
    session,
    nonce: bytes,
    chain: few(bytes),
    signature: bytes,
  }),
  proof: fc.record({ type: is("proof"), session, signature: bytes }),
  credentials: fc.record({
    type: is("credentials"),
    session,
    chain: few(bytes),
    revocations: bytes,
    secrets: few(bytes),
  }),
  limited: fc.record({
    type: is("limited"),
    session,
    code: text,
    kind: text,
    message: text,
    waitMs: uint32,
  }),
  welcome: fc.record({ type: is("welcome"), session, identity, protocol: uint32, ...known }),
  reject: fc.record({ type: is("reject"), addresses: few(text), nodeId: text, ...farewell }),
  bye: fc.record({ type: is("bye"), ...farewell }),
  declare: fc.record({
    type: is("declare"),
    session,
    add: few(subscription),
    drain: few(uint32),
    remove: few(uint32),
    complete: fc.boolean(),
    ended: few(ended),
  }),
  declared: fc.record({ type: is("declared"), session, confirmations: few(confirmation) }),
  batch: fc.record({ type: is("batch"), session, sections: few(section) }),
  settle: fc.record({ type: is("settle"), session, sections: few(settleSection) }),
  accepted: fc.record({ type: is("accepted"), session, entries: few(accepted) }),
  credit: fc.record({ type: is("credit"), session, entries: few(credit) }),
  resync: fc.record({ type: is("resync"), session, subscription: uint32, from: uint53 }),
  request: fc.record({
    type: is("request"),
    session,
    id: uint53,
    subscription: uint32,
    remainingMs: uint32,
    envelope: bytes,
  }),
  reply: fc.record({
    type: is("reply"),
    session,
    id: uint53,
    error: fc.option(remoteError, { nil: undefined }),
    contentType,
    payload: bytes,
  }),
  ping: fc.record({
    type: is("ping"),
    session,
    id: uint53,
    echo: uint53,
    time,
    tails: few(tail),
    credits: few(credit),
  }),
  cancel: fc.record({ type: is("cancel"), session, id: uint53 }),
  piece: fc.record({
    type: is("piece"),
    session,
    lane: fc.constantFrom("bulk", "express"),
    total: uint32,
    offset: uint32,
    data: bytes,
  }),
  piecesTaken: fc.record({ type: is("piecesTaken"), session, bytes: uint53 }),
  ask: fc.record({
    type: is("ask"),
    session,
    subscription: uint32,
    name: text,
    positions: few(position),
    released: few(position),
  }),
  hold: fc.record({
    type: is("hold"),
    session,
    subscription: text,
    entries: few(holdEntry),
    linked: few(text),
  }),
  directory: fc.record({
    type: is("directory"),
    session,
    nodes: few(fc.record({ nodeId: text, service: text, epoch: uint32, addresses: few(text) })),
    durable: few(subscription),
    ended: few(ended),
    signed: few(
      fc.record({ entry: bytes, chain: fc.array(bytes, { maxLength: 2 }), signature: bytes }),
    ),
    entriesHash: uint32,
    asks: fc.boolean(),
  }),
  gossip: fc.record({
    type: is("gossip"),
    session,
    kind: fc.constantFrom(...SWIM_KINDS),
    number: uint32,
    target: text,
    buckets: uint32,
    first: uint32,
    hashes: few(uint32),
    wanted: few(uint32),
    claims: few(
      fc.record({
        id: text,
        epoch: uint32,
        incarnation: uint32,
        vouch: uint32,
        state: fc.constantFrom(...SWIM_STATES),
        accuser: text,
      }),
    ),
  }),
};

export const anyFrame: fc.Arbitrary<KnownFrame> = fc.oneof(
  ...(Object.values(FRAME_ARBITRARIES) as fc.Arbitrary<KnownFrame>[]),
);

const nonEmpty = text.filter((value) => value !== "");
const headerName = fc.oneof(nonEmpty, fc.constantFrom("__proto__", "constructor", "toString"));

/** Every optional field present or absent; texts that are present are not empty, but for the key. */
export const envelope: fc.Arbitrary<EnvelopeFields> = fc.record(
  {
    subject: nonEmpty,
    kind: fc.constantFrom(0, 1, 2),
    key: text,
    time,
    id: nonEmpty,
    contentType: nonEmpty,
    schemaVersion: uint32,
    correlationId: nonEmpty,
    causationId: nonEmpty,
    traceparent: nonEmpty,
    tracestate: nonEmpty,
    idempotencyKey: nonEmpty,
    headers: fc.dictionary(headerName, text, { maxKeys: 4, noNullPrototype: false }),
    replayOf: nonEmpty,
    payload: bytes,
  },
  { requiredKeys: ["subject", "kind", "time", "payload"] },
);
