/**
 * A client that knows nothing of us but the .proto files, through grpc-js's own client and protobufjs: what
 * docs/protocol.md promises to other languages. It greets a node, subscribes, gets an event, and settles it.
 */
import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { Client, type ClientDuplexStream, credentials } from "@grpc/grpc-js";
import protobuf from "protobufjs";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createNode, type MeshNode } from "../../src/index.ts";
import { grpc } from "../../src/transport/grpc/grpc-transport.ts";
import { until } from "./until.ts";

const FILES = ["link.proto", "envelope.proto"].map((name) =>
  fileURLToPath(new URL(`../../proto/meshbus/v1/${name}`, import.meta.url)),
);
const root = new protobuf.Root().loadSync(FILES);
const frameType = root.lookupType("meshbus.v1.Frame");
const envelopeType = root.lookupType("meshbus.v1.Envelope");
const method = root.lookupService("meshbus.v1.Link").methods.Open as protobuf.Method;

type Said = Record<string, unknown>;
type Call = ClientDuplexStream<Said, Said>;

let node: MeshNode;
let client: Client;
let call: Call;
let heard: Said[];
let isOver: boolean;

const encode = (value: Said): Buffer =>
  Buffer.from(frameType.encode(frameType.fromObject(value)).finish());

const decode = (bytes: Buffer): Said =>
  frameType.toObject(frameType.decode(bytes), { longs: Number, enums: String, bytes: Buffer });

const hearing = async <Value>(body: string): Promise<Value> => {
  await until(`hears ${body}`, () => heard.some((frame) => body in frame));
  return heard.find((frame) => body in frame)?.[body] as Value;
};

beforeEach(async () => {
  const how = { dataDir: ":memory:", discovery: [], heartbeatThread: false };
  node = await createNode({
    service: "shop",
    mesh: `foreign-${process.pid}`,
    transports: [grpc()],
    ...how,
  });
  const [address = ""] = node.addresses;
  client = new Client(address.replace("grpc://", ""), credentials.createInsecure());
  const path = `/meshbus.v1.${method.parent?.name}/${method.name}`;
  call = client.makeBidiStreamRequest(path, encode, decode);
  heard = [];
  isOver = false;
  call.on("data", (frame: Said) => heard.push(frame));
  call.on("error", () => {});
  call.on("status", () => {
    isOver = true;
  });
});

afterEach(async () => {
  call.cancel();
  client.close();
  await node.stop();
});

const hello = (mesh: string): Said => ({
  hello: {
    identity: {
      mesh,
      nodeId: "foreign0000000000000",
      service: "foreign",
      epoch: 1,
      nonce: randomBytes(16),
      protocolMin: 1,
      protocolMax: 1,
      shardCount: 4_096,
      hashId: "xxh32-0",
      frameBytesMax: 2 ** 20,
    },
  },
});

it("a client made from link.proto greets over gRPC, is sent an event, and settles it", async () => {
  expect([method.requestStream, method.responseStream]).toEqual([true, true]);
  call.write(hello(`foreign-${process.pid}`));
  await hearing("welcome");
  const session = heard[0]?.session;
  const birth = (BigInt(Date.now()) << 16n).toString();
  const subscription = {
    index: 1,
    group: "foreign",
    pattern: "order.placed",
    durable: true,
    distribution: "DISTRIBUTION_ANY",
    birthTime: birth,
    birthCreator: "foreign0000000000000",
    definedTime: birth,
    weight: 1,
  };
  call.write({ session, declare: { complete: true, add: [subscription] } });
  await hearing("declared");
  call.write({
    session,
    credit: { entries: [{ subscription: 1, numberLimit: 8, bytesLimit: 65_536 }] },
  });
  await node.publish("order.placed", { id: "o-1" });
  const { sections } = await hearing<{ sections: { deliveries: { envelope: Buffer }[] }[] }>(
    "batch",
  );
  const [delivery] = sections.flatMap(({ deliveries }) => deliveries);
  const envelope = envelopeType.decode(delivery?.envelope ?? Buffer.alloc(0));
  const { subject, payload } = envelopeType.toObject(envelope, { bytes: Buffer });
  expect([subject, String(payload)]).toEqual(["order.placed", '{"id":"o-1"}']);
  call.write({ session, settle: { sections: [{ subscription: 1, acked: [1, 1] }] } });
  await until("is settled", () => Object.values(node.ledger()).some(({ acked }) => acked === 1));
});

it("a client of another mesh is told so over gRPC, and its call ends", async () => {
  call.write(hello("elsewhere"));
  const { code } = await hearing<{ code: string }>("reject");
  expect(code).toBe("WRONG_MESH");
  // The close marker: a Frame without a body.
  await until("hears the marker", () => heard.some((frame) => Object.keys(frame).length === 0));
  call.end();
  await until("is over", () => isOver);
});
