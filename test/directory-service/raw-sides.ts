/** Either side of a directory's call, with a will of its own: it says what a test wants, lies included. */
import {
  ANNOUNCE_PATH,
  type AnnounceRequest,
  type AnnounceResponse,
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  MESSAGE_BYTES_MAX,
  type NodeEntry,
} from "../../src/directory-service/directory-messages.ts";
import type { Connection, Transport, TransportContext } from "../../src/ports/transport.ts";
import { CallTransport } from "../../src/transport/grpc/call-transport.ts";
import { freshNodeId } from "../discovery/discovery-recorder.ts";
import { until } from "../integration/until.ts";
import { ownClock } from "../own-clock.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const context: TransportContext = {
  clock: { ...ownClock, endOfTurn: (fn) => queueMicrotask(() => process.nextTick(fn)) },
  logger: silent,
  frameBytesMax: MESSAGE_BYTES_MAX * 4, // more than is allowed
  count: () => {},
};

export const entryOf = (changes: Partial<NodeEntry> = {}): NodeEntry => ({
  nodeId: freshNodeId(),
  service: "orders",
  epoch: 1_700_000_000,
  addresses: ["tcp://127.0.0.1:41234"],
  ...changes,
});

const transportOf = async (): Promise<CallTransport> => {
  const limits = { connectionsMax: 100, handshakeTimeoutMs: 5_000 };
  const transport = new CallTransport(ANNOUNCE_PATH, 0, limits);
  await transport.start(context);
  return transport;
};

/** A client, or the server's end of one. */
class RawCall<Heard> {
  readonly heard: Heard[] = [];
  readonly connection: Connection;
  isClosed = false;

  constructor(connection: Connection, read: (bytes: Uint8Array) => Heard) {
    this.connection = connection;
    connection.open({
      frame: (bytes) => this.heard.push(read(bytes)),
      drained: () => {},
      closed: () => {
        this.isClosed = true;
      },
    });
  }
}

export class RawClient extends RawCall<AnnounceResponse> implements AsyncDisposable {
  readonly #transport: Transport;

  constructor(connection: Connection, transport: Transport) {
    super(connection, decodeResponse);
    this.#transport = transport;
  }

  static async dial(address: string): Promise<RawClient> {
    const transport = await transportOf();
    return new RawClient(await transport.dial(address, { timeoutMs: 5_000 }), transport);
  }

  /** Dials, announces a node, and waits for the listing. */
  static async announce(address: string, mesh: string, node = entryOf()): Promise<RawClient> {
    const client = await RawClient.dial(address);
    client.say({ mesh, node });
    await client.until("listed", () => client.heard.some(({ listed }) => listed));
    return client;
  }

  say(request: Partial<AnnounceRequest>): void {
    this.connection.send(encodeRequest({ mesh: "", node: undefined, alive: false, ...request }));
  }

  /** What it knows by now. */
  get known(): Map<string, NodeEntry> {
    const known = new Map<string, NodeEntry>();
    for (const { there, gone } of this.heard) {
      for (const entry of there) known.set(entry.nodeId, entry);
      for (const nodeId of gone) known.delete(nodeId);
    }
    return known;
  }

  get refusal(): string | undefined {
    return this.heard.find(({ refusal }) => refusal !== undefined)?.refusal?.code;
  }

  async refusedWith(): Promise<string | undefined> {
    await this.until("the refusal and the goodbye", () => this.isClosed);
    return this.refusal;
  }

  until(what: string, condition: () => boolean): Promise<void> {
    return until(what, condition, () => `heard ${JSON.stringify(this.heard).slice(0, 2_000)}`);
  }

  /** Says goodbye. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#transport.stop();
  }
}

/** A directory that says what it is told to. */
export class RawDirectory implements AsyncDisposable {
  readonly calls: readonly RawCall<AnnounceRequest>[];
  readonly address: string;
  readonly #transport: CallTransport;

  constructor(
    address: string,
    calls: readonly RawCall<AnnounceRequest>[],
    transport: CallTransport,
  ) {
    this.address = address;
    this.calls = calls;
    this.#transport = transport;
  }

  /** `greet` answers each announcement. */
  static async start(
    greet: (say: (response: Partial<AnnounceResponse>) => void) => void = () => {},
    port = 0,
  ): Promise<RawDirectory> {
    const transport = await transportOf();
    const calls: RawCall<AnnounceRequest>[] = [];
    const listener = await transport.listen({ host: "127.0.0.1", port }, (connection) => {
      const call = new RawCall(connection, (bytes) => {
        const request = decodeRequest(bytes);
        if (request.node !== undefined) greet((response) => respond(connection, response));
        return request;
      });
      calls.push(call);
    });
    return new RawDirectory(listener.address, calls, transport);
  }

  /** To the client that came last. */
  say(response: Partial<AnnounceResponse>): void {
    const call = this.calls.at(-1);
    if (call === undefined) throw new Error("no client has come");
    respond(call.connection, response);
  }

  /** Bytes as they are. */
  sayBytes(bytes: Uint8Array): void {
    this.calls.at(-1)?.connection.send(bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#transport.stop();
  }
}

const respond = (connection: Connection, response: Partial<AnnounceResponse>): void => {
  const empty = { there: [], gone: [], listed: false, refusal: undefined, alive: false };
  connection.send(encodeResponse({ ...empty, ...response }));
};
