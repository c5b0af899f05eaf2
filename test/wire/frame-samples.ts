/** One frame of each type and two envelopes with every field set, for the golden bytes. */
import { type EnvelopeFields, EnvelopeView } from "../../src/wire/envelope.ts";
import type { KnownFrame } from "../../src/wire/frames.ts";
import type { Identity } from "../../src/wire/handshake.ts";

const time = { ms: 1_750_000_000_123, counter: 258 };
const bytes = (text: string): Buffer => Buffer.from(text, "hex");

const identity: Identity = {
  mesh: "shop",
  nodeId: "n7q2",
  service: "orders",
  epoch: 1_750_000_000,
  nonce: bytes("000102030405060708090a0b0c0d0e0f"),
  protocolMin: 1,
  protocolMax: 2,
  features: 2 ** 40 + 1,
  shardCount: 4_096,
  hashId: "xxh32",
  frameBytesMax: 16_777_216,
  jumped: 0,
  addresses: ["zmq://127.0.0.1:7400", "tcp://[::1]:7401"],
  time,
  heartbeat: "udp://127.0.0.1:7402",
};

export const SAMPLE_ENVELOPES: Readonly<Record<string, EnvelopeFields>> = {
  common: { subject: "orders.placed", kind: 0, key: "o-1", time, payload: bytes("7b7d") },
  full: {
    subject: "inventory.reserve",
    kind: 1,
    key: "grün",
    time,
    id: "my-id",
    contentType: "application/octet-stream",
    schemaVersion: 300,
    correlationId: "corr",
    causationId: "cause",
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    tracestate: "a=b",
    idempotencyKey: "once",
    headers: { region: "eu", empty: "" },
    replayOf: "dead-1",
    payload: bytes("00ff10"),
  },
};

const envelope = bytes("ff0a0161ff");
const delivery = {
  seq: 42,
  keyHash: 0xdeadbeef,
  attempts: 2,
  skip: 3,
  remainingMs: 0,
  resume: true,
};
const common = { seq: 43, keyHash: -1, attempts: 0, skip: 0, remainingMs: -1, resume: false };
const place = { bytes: envelope, envelopeStart: 1, envelopeEnd: 4 };
const head = {
  subscription: 3,
  first: 100,
  epoch: 1_750_000_000,
  volatile: false,
  floorEpoch: 1_749_999_999,
  floorSeq: 2 ** 33,
  term: 2 ** 48,
};
const bundled = bytes("0a01611a01627a01311a01637a0132");
const bundle = {
  bytes: bundled,
  head: new EnvelopeView(bundled, 0, 3),
  rests: [3, 9, 9, 15],
  keyHashes: [0xdeadbeef, 1],
};
const none = { epoch: 0, floorEpoch: 0, floorSeq: 0, term: 0 };
const session = 0x01020304;
const credit = {
  subscription: 3,
  numberLimit: 300,
  bytesLimit: 65_536,
  volatileNumberLimit: 1,
  volatileBytesLimit: 2,
  paused: false,
};

export const SAMPLE_FRAMES: {
  readonly [Type in KnownFrame["type"]]: Extract<KnownFrame, { type: Type }>;
} = {
  hello: {
    type: "hello",
    session: 0,
    identity,
    targetNodeId: "n8",
    knownEpoch: 7,
    knownNonce: bytes("aabb"),
    redirect: true,
    shown: { nonce: bytes("00010203"), chain: [bytes("3001"), bytes("3002")] },
  },
  welcome: {
    type: "welcome",
    session,
    identity,
    protocol: 2,
    knownEpoch: 7,
    knownNonce: bytes("aabb"),
  },
  reject: {
    type: "reject",
    session: 0,
    code: "BETTER_ADDRESS",
    message: "tcp",
    addresses: ["tcp://[::1]:7401"],
    nodeId: "n8",
  },
  declare: {
    type: "declare",
    session,
    add: [
      {
        index: 1,
        role: "commands",
        group: "billing",
        pattern: "orders.>",
        durable: true,
        birthTime: time,
        birthCreator: "n7q2",
        distribution: "any",
        failoverMove: true,
        holdOnDead: true,
        start: "time",
        startTimeMs: 1_750_000_000_000,
        weight: 2,
        filter: [{ name: "region", value: "eu" }],
        definedTime: time,
        versionMin: 1,
        versionMax: 4,
      },
    ],
    drain: [2, 300],
    remove: [5],
    complete: true,
    ended: [{ role: "queries", group: "old", pattern: "a.*", time }],
  },
  declared: {
    type: "declared",
    session,
    confirmations: [
      { subscription: 1, code: "", message: "" },
      { subscription: 2, code: "COMMAND_CLAIMED", message: "by stock" },
    ],
  },
  batch: {
    type: "batch",
    session,
    sections: [
      {
        ...head,
        deliveries: [
          { ...delivery, ...place },
          { ...common, ...place },
        ],
        bundles: [],
      },
      { ...head, ...none, subscription: 4, volatile: true, deliveries: [], bundles: [bundle] },
    ],
  },
  settle: {
    type: "settle",
    session,
    sections: [
      {
        subscription: 3,
        acked: [100, 64, 200, 1],
        held: [165, 166],
        nacks: [
          {
            number: 167,
            outcome: "dead",
            delayMs: 1_000,
            attempts: 10,
            reason: "attempts",
            errorName: "TypeError",
            errorMessage: "x is undefined",
            earlier: [],
          },
        ],
        released: [{ epoch: 1_750_000_000, seq: 41 }],
      },
    ],
  },
  accepted: {
    type: "accepted",
    session,
    entries: [{ subscription: 3, name: "", epoch: 1_750_000_000, seq: 41, verdict: "other" }],
  },
  credit: { type: "credit", session, entries: [credit] },
  resync: { type: "resync", session, subscription: 3, from: 101 },
  request: {
    type: "request",
    session,
    id: 12,
    subscription: 9,
    remainingMs: 5_000,
    envelope: bytes("0a0161"),
  },
  reply: {
    type: "reply",
    session,
    id: 12,
    error: { name: "Error", message: "no", code: "E", details: "{}", refused: false },
    contentType: "text/plain",
    payload: bytes("6f6b"),
  },
  ping: {
    type: "ping",
    session,
    id: 8,
    echo: 7,
    time,
    tails: [{ subscription: 3, last: 164, floorEpoch: 1_750_000_000, floorSeq: 40 }],
    credits: [credit],
  },
  bye: { type: "bye", session, code: "STOPPED", message: "done" },
  cancel: { type: "cancel", session, id: 12 },
  ask: {
    type: "ask",
    session,
    subscription: 3,
    name: "",
    positions: [{ epoch: 1, seq: 41 }],
    released: [],
  },
  hold: {
    type: "hold",
    session,
    subscription: "event billing orders.>",
    entries: [
      { holder: "n7q2", term: 2 ** 47 + 1, phase: "held", next: "", shards: [0, 10, 300, 1] },
      { holder: "n7q2", term: 2 ** 47, phase: "released", next: "n8", shards: [10, 1] },
    ],
    linked: ["n7q2", "n8"],
  },
  directory: {
    type: "directory",
    session,
    nodes: [
      {
        nodeId: "n7q2",
        service: "billing",
        epoch: 3,
        addresses: ["tcp://10.0.0.7:7400", "zmq://10.0.0.7:7401"],
      },
      { nodeId: "n8", service: "", epoch: 1, addresses: [] },
    ],
    durable: [],
    ended: [
      {
        role: "events",
        group: "audit",
        pattern: "orders.>",
        time: { ms: 1_790_000_000_000, counter: 7 },
      },
    ],
    signed: [{ entry: bytes("1213"), chain: [bytes("3005")], signature: bytes("1415") }],
    entriesHash: 0xdeadbeef,
    asks: true,
  },
  gossip: {
    type: "gossip",
    session,
    kind: "ping",
    number: 300,
    target: "",
    buckets: 0,
    first: 0,
    hashes: [],
    wanted: [],
    claims: [
      { id: "n7q2", epoch: 3, incarnation: 2, vouch: 1, state: "suspect", accuser: "n8" },
      { id: "n8", epoch: 1, incarnation: 0, vouch: 0, state: "alive", accuser: "" },
    ],
  },
  challenge: {
    type: "challenge",
    session: 0,
    nonce: bytes("04050607"),
    chain: [bytes("3003")],
    signature: bytes("0a0b"),
  },
  proof: { type: "proof", session: 0, signature: bytes("0c0d") },
  credentials: {
    type: "credentials",
    session,
    chain: [bytes("3004")],
    revocations: bytes("0e0f"),
    secrets: [bytes("1011")],
  },
  limited: {
    type: "limited",
    session,
    code: "RATE_LIMITED",
    kind: "bytes",
    message: "slow",
    waitMs: 300,
  },
  piece: { type: "piece", session, lane: "express", total: 300, offset: 298, data: bytes("0a0b") },
  piecesTaken: { type: "piecesTaken", session, bytes: 300 },
};
