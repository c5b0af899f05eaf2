/** A directory of a real node, asked by real clients over sockets: what they hear, and where it ends. */
import { type ClientHttp2Stream, connect } from "node:http2";
import { fileURLToPath } from "node:url";
import { Client, credentials, type ServiceDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { afterEach, describe, expect, it } from "vitest";
import { Board } from "../../src/directory-service/board.ts";
import { ClientStream } from "../../src/directory-service/client-stream.ts";
import {
  ANNOUNCE_PATH,
  type AnnounceResponse,
  decodeResponse,
  encodeRequest,
} from "../../src/directory-service/directory-messages.ts";
import { Directory } from "../../src/directory-service/serve-directory.ts";
import {
  resolveServeOptions,
  type ServeDirectoryOptions,
} from "../../src/directory-service/serve-options.ts";
import { staticPeers } from "../../src/discovery/static/static-peers.ts";
import { MeshError } from "../../src/errors.ts";
import { createNode } from "../../src/mesh/create-node.ts";
import type { MeshNode } from "../../src/mesh/mesh-node.ts";
import { MemoryNetwork, memoryTransport } from "../../src/transport/memory/memory-transport.ts";
import { stream } from "../../src/transport/stream/stream-transport.ts";
import { freshNodeId } from "../discovery/discovery-recorder.ts";
import { until } from "../integration/until.ts";
import { HastyClock } from "./hasty-clock.ts";
import { entryOf, RawClient } from "./raw-sides.ts";

let cleanups: (() => unknown)[] = [];
afterEach(async () => {
  const all = cleanups.reverse();
  cleanups = [];
  for (const end of all) await end();
});

const MESH = `mesh-${freshNodeId()}`;
const silent = { debug() {}, info() {}, warn() {}, error() {} };

const nodeOf = async (peers: readonly string[] = []): Promise<MeshNode> => {
  const node = await createNode({
    ...{ service: "directory", mesh: MESH, dataDir: ":memory:", logger: silent },
    transports: [stream()],
    discovery: peers.length === 0 ? [] : [staticPeers(peers)],
  });
  cleanups.push(() => node.stop());
  return node;
};

const serve = async (options: ServeDirectoryOptions = {}) => {
  const node = await nodeOf();
  const clock = new HastyClock();
  const resolved = resolveServeOptions({ mesh: MESH, logger: silent, ...options });
  const directory = new Directory(node, resolved, clock);
  await directory.start();
  cleanups.push(() => directory.stop());
  return { node, clock, directory };
};

const announce = async (directory: Directory, node = entryOf()): Promise<RawClient> => {
  const client = await RawClient.announce(directory.address, MESH, node);
  cleanups.push(() => client[Symbol.asyncDispose]());
  return client;
};
const dial = async (directory: Directory): Promise<RawClient> => {
  const client = await RawClient.dial(directory.address);
  cleanups.push(() => client[Symbol.asyncDispose]());
  return client;
};

/** A client by hand that lets the directory send it a few bytes, and reads them only when told. */
const deafClient = (directory: Directory, node = entryOf()) => {
  const url = directory.address.replace("grpc://", "http://");
  const session = connect(url, { settings: { initialWindowSize: 16 } });
  cleanups.push(() => session.destroy());
  session.on("error", () => {});
  const call = session.request({
    ":method": "POST",
    ":path": ANNOUNCE_PATH,
    "content-type": "application/grpc",
    te: "trailers",
  });
  call.on("error", () => {});
  call.pause();
  const body = encodeRequest({ mesh: MESH, node, alive: false });
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  call.write(Buffer.concat([head, body]));
  return { session, call };
};

/** The messages that it gets when it reads at last. */
const hear = (call: ClientHttp2Stream): AnnounceResponse[] => {
  const heard: AnnounceResponse[] = [];
  let bytes = Buffer.alloc(0);
  call.on("data", (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    while (bytes.length >= 5 && bytes.length >= 5 + bytes.readUInt32BE(1)) {
      const end = 5 + bytes.readUInt32BE(1);
      heard.push(decodeResponse(bytes.subarray(5, end)));
      bytes = bytes.subarray(end);
    }
  });
  call.resume();
  return heard;
};

describe("a directory", () => {
  it("tells each client of the others, of itself and of its node's peers, and never of the client", async () => {
    const { node, directory } = await serve();
    const peer = await nodeOf(node.addresses);
    await until("linked", () => node.peers().some(({ state }) => state === "alive"));
    const [a, b] = [entryOf(), entryOf({ addresses: ["tcp://127.0.0.1:50000"] })];
    const first = await announce(directory, a);
    await first.until("itself and its peer", () => first.known.has(peer.id));
    expect(first.known.get(node.id)?.addresses).toEqual(node.addresses);
    const second = await announce(directory, b);
    expect(second.known.get(a.nodeId)).toEqual(a);
    await first.until("the second", () => first.known.has(b.nodeId));
    expect(first.known.get(b.nodeId)).toEqual(b);
    expect(first.known.has(a.nodeId)).toBe(false);
    expect(second.known.has(b.nodeId)).toBe(false);
  });

  it("tells of changes and goodbyes at once", async () => {
    const { directory } = await serve();
    const watcher = await announce(directory);
    const node = entryOf();
    const client = await announce(directory, node);
    client.say({ mesh: MESH, node: { ...node, epoch: 1_800_000_000 } });
    await watcher.until("the change", () => {
      return watcher.known.get(node.nodeId)?.epoch === 1_800_000_000;
    });
    await client[Symbol.asyncDispose]();
    await watcher.until("the goodbye", () => !watcher.known.has(node.nodeId));
  });

  it("keeps the entry of a client that broke off for the grace, and for ever if it comes back", async () => {
    const { directory, clock } = await serve({ graceMs: 4_000 });
    const watcher = await announce(directory);
    const [gone, back] = [entryOf(), entryOf()];
    const sessions = [deafClient(directory, gone), deafClient(directory, back)];
    await watcher.until("both", () => watcher.known.size === 3);
    for (const { session } of sessions) session.destroy();
    await until("both broke off", () => directory.load.clients === 1);
    clock.skip(3_000);
    const again = await announce(directory, back);
    expect(again.known.has(gone.nodeId)).toBe(true);
    expect(watcher.known.has(gone.nodeId)).toBe(true);
    clock.skip(1_500);
    await watcher.until("its end", () => !watcher.known.has(gone.nodeId));
    expect(watcher.known.has(back.nodeId)).toBe(true);
  });

  it("gives a wildcard the host that the client comes from", async () => {
    const { directory } = await serve();
    const watcher = await announce(directory);
    const node = entryOf({ addresses: ["tcp://0.0.0.0:7400", "zmq://[::]:7401"] });
    await announce(directory, node);
    await watcher.until("it", () => watcher.known.has(node.nodeId));
    expect(watcher.known.get(node.nodeId)?.addresses).toEqual([
      "tcp://127.0.0.1:7400",
      "zmq://127.0.0.1:7401",
    ]);
  });

  it("is spoken to by a client that knows the .proto file and nothing else", async () => {
    const { directory, node } = await serve();
    const proto = fileURLToPath(new URL("../../proto", import.meta.url)).replace(".build/", "");
    const found = loadSync("meshbus/directory/v1/directory.proto", { includeDirs: [proto] });
    const service = found["meshbus.directory.v1.Directory"] as ServiceDefinition;
    const method = service.Announce;
    if (method === undefined) throw new Error("the service has no Announce");
    expect(method.path).toBe(ANNOUNCE_PATH);
    const client = new Client(
      directory.address.slice("grpc://".length),
      credentials.createInsecure(),
    );
    cleanups.push(() => client.close());
    const call = client.makeBidiStreamRequest(
      ...([method.path, method.requestSerialize, method.responseDeserialize] as const),
    );
    const heard: { there?: { nodeId: string }[] }[] = [];
    call.on("data", (message: (typeof heard)[number]) => heard.push(message));
    call.on("error", () => {});
    call.write({ mesh: MESH, node: entryOf() });
    await until("the directory's node", () =>
      heard.some(({ there }) => there?.some(({ nodeId }) => nodeId === node.id)),
    );
    call.end();
  });

  it("stops with its node, and says goodbye", async () => {
    const { node, directory } = await serve();
    const client = await announce(directory);
    await node.stop();
    await client.until("the goodbye", () => client.isClosed);
    await directory.stop();
    await expect(RawClient.dial(directory.address)).rejects.toThrow();
  });
});

describe("a client is refused", () => {
  it("of another mesh, with both named", async () => {
    const { directory } = await serve();
    const client = await dial(directory);
    client.say({ mesh: "other", node: entryOf() });
    expect(await client.refusedWith()).toBe("WRONG_MESH");
    expect(client.heard[0]?.refusal?.message).toContain(MESH);
    expect(client.known.size).toBe(0);
  });

  it.each<[string, Parameters<RawClient["say"]>[0]]>([
    ["a node id that is none", { mesh: MESH, node: entryOf({ nodeId: "x" }) }],
    ["an address that is none", { mesh: MESH, node: entryOf({ addresses: ["tcp://nowhere"] }) }],
    ["nine addresses", { mesh: MESH, node: entryOf({ addresses: Array(9).fill("tcp://h:1") }) }],
    ["a service without a name", { mesh: MESH, node: entryOf({ service: "" }) }],
    ["no announcement first", { alive: true }],
  ])("for %s", async (_, said) => {
    const { directory } = await serve();
    const client = await dial(directory);
    client.say(said);
    expect(await client.refusedWith()).toBe("MALFORMED");
  });

  it("for a second node in one call", async () => {
    const { directory } = await serve();
    const client = await announce(directory);
    client.say({ mesh: MESH, node: entryOf() });
    expect(await client.refusedWith()).toBe("MALFORMED");
  });

  it("for a message above 4 KiB, and cut off for one above 64 KiB, of which nothing is kept", async () => {
    const { directory } = await serve();
    const large = await dial(directory);
    large.say({ mesh: "m".repeat(5_000), node: entryOf() });
    expect(await large.refusedWith()).toBe("PAYLOAD_TOO_LARGE");
    const huge = await dial(directory);
    huge.say({ mesh: "m".repeat(70_000), node: entryOf() });
    await huge.until("the end", () => huge.isClosed);
    expect(huge.heard).toEqual([]);
    await until("nothing is left of it", () => directory.load.clients === 0);
  });

  it("for saying too much", async () => {
    const { directory } = await serve();
    const client = await announce(directory);
    for (let n = 0; n < 100; n++) client.say({ alive: true });
    expect(await client.refusedWith()).toBe("RATE_LIMITED");
  });

  it("past the clients in all, at a host, and the entries", async () => {
    const [full, host, entries] = await Promise.all([
      serve({ limits: { clientsMax: 2 } }),
      serve({ limits: { hostClientsMax: 2 } }),
      serve({ limits: { entriesMax: 3 } }), // the directory's node is one
    ]);
    for (const [{ directory }, code] of [
      [full, "FULL"],
      [host, "HOST_FULL"],
      [entries, "FULL"],
    ] as const) {
      const [first] = [await announce(directory), await announce(directory)];
      const third = await dial(directory);
      third.say({ mesh: MESH, node: entryOf() });
      expect(await third.refusedWith()).toBe(code);
      expect(directory.load).toMatchObject({ clients: 2, refused: 1 });
      await first?.[Symbol.asyncDispose]();
      await until("room", () => directory.load.clients === 1);
      await announce(directory);
    }
  });

  it("or given up: that never announces itself, that says nothing any more", async () => {
    const { directory, clock } = await serve();
    const mute = await dial(directory);
    await until("it is there", () => directory.load.clients === 1);
    clock.skip(5_050); // within the time that a goodbye has
    expect(await mute.refusedWith()).toBe("MALFORMED");
    const quiet = await announce(directory);
    clock.skip(5_500);
    await quiet.until("a sign of life", () => quiet.heard.some(({ alive }) => alive));
    for (let n = 0; n < 3; n++) clock.skip(5_500);
    await quiet.until("the end", () => quiet.isClosed);
  });
});

it("a client that reads nothing is sent nothing more, delays nobody, and is closed", async () => {
  const { directory, clock } = await serve();
  deafClient(directory);
  await until("it is there", () => directory.load.clients === 1);
  const node = entryOf();
  const client = await announce(directory, node);
  const watcher = await announce(directory);
  await watcher.until("news pass it by", () => watcher.known.has(node.nodeId));
  client.say({ mesh: MESH, node: { ...node, epoch: 1_800_000_000 } });
  await watcher.until("the change", () => watcher.known.get(node.nodeId)?.epoch === 1_800_000_000);
  clock.skip(5_100);
  expect(directory.load.clients).toBe(3);
  clock.skip(5_100);
  expect(directory.load.clients).toBe(2); // sooner than for its silence
});

it("a client that reads late is told what is so by then, not all that has been", async () => {
  const { directory, clock } = await serve();
  const { call } = deafClient(directory);
  await until("it is there", () => directory.load.clients === 1);
  const node = entryOf();
  const client = await announce(directory, node);
  const watcher = await announce(directory);
  for (let epoch = 1; epoch <= 10; epoch++) {
    client.say({ mesh: MESH, node: { ...node, epoch } });
    await watcher.until("the change", () => watcher.known.get(node.nodeId)?.epoch === epoch);
    clock.skip(100);
  }
  const heard = hear(call);
  const of = ({ there }: AnnounceResponse) => there.filter(({ nodeId }) => nodeId === node.nodeId);
  await until("it", () => heard.flatMap(of).some(({ epoch }) => epoch === 10));
  expect(heard.flatMap(of)).toHaveLength(1);
});

it("a client from another host hears of no address that means nothing there", async () => {
  const network = new MemoryNetwork();
  const [near, far] = [memoryTransport(network), memoryTransport(network)];
  const count = () => {};
  const context = { clock: new HastyClock(), logger: silent, frameBytesMax: 65_536, count };
  await Promise.all([near.start(context), far.start(context)]);
  cleanups.push(() => Promise.all([near.stop(), far.stop()]));
  const mixed = entryOf({ addresses: ["tcp://127.0.0.1:1", "unix:///run/a", "tcp://10.0.0.9:2"] });
  const board = new Board({ entriesMax: 10, graceMs: 0 }, () => {});
  for (const [source, entry] of [entryOf(), mixed].entries()) board.state(source, entry);
  const { address } = await near.listen({ host: "here", port: 0 }, (connection) => {
    new ClientStream(9, { host: "10.0.0.7", isLoopback: false }, connection, {
      ...{ mesh: MESH, clock: context.clock, refused: () => {}, over: () => {} },
      nodeIds: () => board.nodeIds(),
      find: (nodeId) => board.find(nodeId),
      announced: ({ source }, entry) => board.state(source, entry),
    });
  });
  const client = new RawClient(await far.dial(address, { timeoutMs: 5_000 }), far);
  const own = entryOf({ addresses: ["tcp://127.0.0.1:1", "tcp://0.0.0.0:2"] });
  client.say({ mesh: MESH, node: own });
  await client.until("listed", () => client.heard.some(({ listed }) => listed));
  expect([...client.known.values()]).toEqual([{ ...mixed, addresses: ["tcp://10.0.0.9:2"] }]);
  expect(board.find(own.nodeId)?.addresses).toEqual(["tcp://10.0.0.7:2"]);
});

it.each<[ServeDirectoryOptions, string]>([
  [{ listen: { host: "0.0.0.0" } }, "INSECURE_LISTEN"],
  [{ limits: { clientsMax: 0 } }, "INVALID_OPTIONS"],
  [{ mesh: "no name" }, "INVALID_OPTIONS"],
  [{ grace: 5 } as never, "INVALID_OPTIONS"],
])("refuses the options %j with %s", async (options, code) => {
  const error = await serve(options).catch((thrown: unknown) => thrown);
  expect(MeshError.is(error, code as never)).toBe(true);
});

it("says which address is taken", async () => {
  const { directory } = await serve();
  const port = Number(directory.address.split(":").at(-1));
  const error = await serve({ listen: { port } }).catch((thrown: unknown) => thrown);
  expect(MeshError.is(error, "ADDRESS_IN_USE")).toBe(true);
});
