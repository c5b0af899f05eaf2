/**
 * A peer that speaks frames, to do what a node never would: settle what was not sent, close at any moment,
 * declare nonsense. It greets properly, then the test decides.
 */
import { randomBytes } from "node:crypto";
import { SHARD_COUNT } from "../../src/core/shard-map.ts";
import type { Connection } from "../../src/ports/transport.ts";
import { memoryTransport } from "../../src/transport/memory/memory-transport.ts";
import type { SubscriptionRecord } from "../../src/wire/declare.ts";
import { decodeFrame, encodeFrame, type Frame, type KnownFrame } from "../../src/wire/frames.ts";
import type { Identity } from "../../src/wire/handshake.ts";
import { subscriptionRecord } from "../frames-by-hand.ts";
import type { TestMesh } from "./test-mesh.ts";

export class RawPeer {
  /** The one that declares last holds every shard. */
  static #nextTerm = 2 ** 50;
  readonly frames: Frame[] = [];
  readonly nodeId: string;
  session = 0;
  closed = false;
  readonly #connection: Connection;
  #term = 0;

  private constructor(connection: Connection, nodeId: string) {
    this.#connection = connection;
    this.nodeId = nodeId;
    connection.open({
      frame: (bytes) => this.#got(decodeFrame(bytes)),
      drained: () => {},
      closed: () => {
        this.closed = true;
      },
    });
  }

  /** Dials the address; greeted when this resolves, or refused, or not a word was said. */
  static async dial(
    mesh: TestMesh,
    address: string,
    given: { nodeId?: string; identity?: Partial<Identity>; silent?: boolean } = {},
  ): Promise<RawPeer> {
    const { clock, network } = mesh;
    const transport = memoryTransport(network);
    const { logs } = mesh;
    const log = (message: string) => void logs.push({ level: "raw", message });
    const logger = { debug: log, info: log, warn: log, error: log };
    await transport.start({ clock, logger, frameBytesMax: 2 ** 24, count: () => {} });
    const connection = await clock.run(transport.dial(address, { timeoutMs: 1_000 }));
    const nodeId = given.nodeId ?? `raw${randomBytes(8).toString("hex")}`;
    const peer = new RawPeer(connection, nodeId);
    if (given.silent === true) return peer;
    peer.send({
      type: "hello",
      session: 0,
      identity: { ...identityOf(nodeId), ...given.identity },
      targetNodeId: "",
      knownEpoch: 0,
      knownNonce: new Uint8Array(0),
      redirect: false,
    });
    await clock.until(() => peer.session !== 0 || peer.closed);
    return peer;
  }

  send(frame: KnownFrame): void {
    this.#connection.send(encodeFrame(frame));
  }

  sendBytes(bytes: Uint8Array): void {
    this.#connection.send(bytes);
  }

  /** Without a word. */
  cut(): void {
    this.#connection.close();
  }

  declare(record: Partial<SubscriptionRecord>): void {
    this.#declare([{ ...RECORD, ...record }], false);
    const { group, pattern } = { ...RECORD, ...record };
    this.hold(`event ${group} ${pattern}`);
  }

  /** All it listens to: nothing. */
  declareNothing(): void {
    this.#declare([], true);
  }

  /** Takes every shard, whoever had it. */
  hold(subscription: string): void {
    this.#term = RawPeer.#nextTerm++;
    this.#tell(subscription, "held", "");
  }

  /** Lets go of every shard, which that node may take. */
  release(subscription: string, next: string): void {
    this.#tell(subscription, "released", next);
  }

  #tell(subscription: string, phase: "held" | "released", next: string): void {
    const token = { holder: this.nodeId, term: this.#term, phase, next };
    const entries = [{ ...token, shards: [0, SHARD_COUNT] }];
    this.send({ type: "hold", session: this.session, subscription, entries, linked: [] });
  }

  grant(subscription: number, messages: number): void {
    const limits = { numberLimit: messages, bytesLimit: 2 ** 24 };
    const volatile = { volatileNumberLimit: 0, volatileBytesLimit: 0, paused: false };
    const entries = [{ subscription, ...limits, ...volatile }];
    this.send({ type: "credit", session: this.session, entries });
  }

  of<Type extends KnownFrame["type"]>(type: Type): Extract<KnownFrame, { type: Type }>[] {
    return this.frames.filter((frame) => frame.type === type) as Extract<
      KnownFrame,
      { type: Type }
    >[];
  }

  /** Sequence numbers delivered, in order. */
  get delivered(): number[] {
    return this.of("batch").flatMap(({ sections }) =>
      sections.flatMap(({ deliveries }) => deliveries.map(({ seq }) => seq)),
    );
  }

  #declare(add: readonly SubscriptionRecord[], complete: boolean): void {
    const rest = { drain: [], remove: [], ended: [] };
    this.send({ type: "declare", session: this.session, add, complete, ...rest });
  }

  #got(frame: Frame): void {
    if (frame.type === "welcome") this.session = frame.session;
    this.frames.push(frame);
  }
}

const identityOf = (nodeId: string): Identity => ({
  mesh: "default",
  nodeId,
  service: "raw",
  epoch: 1_900_000_000,
  nonce: randomBytes(16),
  protocolMin: 1,
  protocolMax: 1,
  features: 0,
  shardCount: SHARD_COUNT,
  hashId: "xxh32-0",
  frameBytesMax: 2 ** 24,
  addresses: [],
  time: { ms: 0, counter: 0 },
  heartbeat: "",
  jumped: 0,
});

const RECORD = subscriptionRecord({
  index: 1,
  group: "raw",
  pattern: "x.y",
  birthCreator: "raw",
  definedTime: { ms: 1, counter: 0 },
});
