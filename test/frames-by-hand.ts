/** What a well-behaved node says, for tests that speak in frames themselves. */
import type { SubscriptionRecord } from "../src/wire/declare.ts";
import type { HelloFrame } from "../src/wire/handshake.ts";

const ZERO = { ms: 0, counter: 0 };

/** A durable subscription of events, by key, as a member declares it. */
export const subscriptionRecord = (
  changes: Partial<SubscriptionRecord> = {},
): SubscriptionRecord => ({
  index: 0,
  role: "events",
  group: "billing",
  pattern: "order.*",
  durable: true,
  birthTime: ZERO,
  birthCreator: "n1",
  distribution: "key",
  failoverMove: true,
  holdOnDead: false,
  start: "new",
  startTimeMs: 0,
  weight: 1,
  filter: [],
  definedTime: ZERO,
  versionMin: 0,
  versionMax: 0,
  ...changes,
});

/** A first Hello, to whoever answers. */
export const firstHello = (changes: Partial<HelloFrame["identity"]>): HelloFrame => ({
  type: "hello",
  session: 0,
  identity: {
    mesh: "shop",
    nodeId: "r0g0e000000000000000",
    service: "rogue",
    epoch: 1,
    nonce: new Uint8Array(16).fill(7),
    protocolMin: 1,
    protocolMax: 1,
    features: 0,
    shardCount: 4096,
    hashId: "xxh32-0",
    frameBytesMax: 1 << 20,
    addresses: [],
    time: { ms: Date.now(), counter: 0 },
    heartbeat: "",
    jumped: 0,
    ...changes,
  },
  targetNodeId: "",
  knownEpoch: 0,
  knownNonce: new Uint8Array(0),
  redirect: false,
});
