/** What a client may make the gateway hold, and what becomes of one that goes beyond: real raw clients. */
import { connect } from "node:net";
import { afterEach, expect, it } from "vitest";
import {
  type Gateway,
  type GatewayOptions,
  serveGateway,
} from "../../src/gateway/serve-gateway.ts";
import { createNode, MeshError, type MeshNode } from "../../src/index.ts";
import { range, until } from "../integration/until.ts";
import { BluntClient } from "./blunt-client.ts";
import { RawClient } from "./raw-client.ts";

const KIB = 1024;
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

let node: MeshNode | undefined;
let gateway: Gateway | undefined;
const clients: { close(): void }[] = [];

const serve = async (options: GatewayOptions): Promise<{ node: MeshNode; gateway: Gateway }> => {
  node = await createNode({
    service: "shop",
    mesh: `gateway-bounds-${process.pid}`,
    dataDir: ":memory:",
    discovery: [],
    heartbeatThread: false,
  });
  gateway = await serveGateway(node, options);
  return { node, gateway };
};

const rawClient = (address: string): RawClient => {
  const client = new RawClient(address);
  clients.push(client);
  return client;
};

const bluntClient = (address: string, windowBytes?: number): BluntClient => {
  const client = new BluntClient(address, windowBytes);
  clients.push({ close: () => client.die() });
  return client;
};

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await gateway?.stop({ drainMs: 0 });
  await node?.stop();
});

it("gives a client that reads nothing no more than its budget, and the rest to another", async () => {
  const given = 4;
  const { node, gateway } = await serve({ limits: { givenBytesMax: given * 257 * KIB } });
  const open = { pattern: "big.one", group: "g", credit: 1_000, concurrency: 64 };
  const stuck = bluntClient(gateway.address, 0).call("Subscribe", false);
  stuck.say({ open });
  await until("it is open", () => gateway.load.calls === 1);
  const good = await rawClient(gateway.address).open("Subscribe", open);
  const messages = 40;
  const sent = Promise.all(
    range(1, messages).map(() => node.publish("big.one", new Uint8Array(256 * KIB))),
  );
  let acked = 0;
  await until("the other gets the rest", () => {
    good.ack(...range(acked + 1, good.deliveries.length - acked));
    acked = good.deliveries.length;
    return acked >= messages - given;
  });
  await sent;
  // At least one, since with nothing out one may always go.
  expect(messages - acked).toBeGreaterThan(0);
  stuck.stream.destroy();
  await good.gets(messages);
  expect(good.deliveries.every(({ attempt }) => attempt === 1)).toBe(true);
});

it("stops reading a client that reads no answers", async () => {
  const underWayMax = 32;
  const { node, gateway } = await serve({ limits: { underWayMax } });
  const stuck = bluntClient(gateway.address, 0).call("Publish", false);
  const sent = 2_000;
  for (const n of range(1, sent))
    stuck.say({ messages: [{ number: n, subject: "a.b", payload: json(n) }] });
  const good = rawClient(gateway.address).call("Publish");
  // Whatever it could read it would have read, while the other is answered a hundred times.
  for (const n of range(1, 100)) {
    good.say({ messages: [{ number: n, subject: "a.b", payload: json(n) }] });
    await good.answers(n);
  }
  const last = good.results.at(-1)?.accepted?.position.seq ?? 0;
  expect(last - 100).toBeGreaterThanOrEqual(underWayMax);
  expect(last - 100).toBeLessThanOrEqual(2 * underWayMax);
  expect(node.health().ready).toBe(true);
});

it("cuts off a client that reads none of the answers it asked for", async () => {
  const { node, gateway } = await serve({ limits: { saidBytesMax: 512 * KIB } });
  await node.reply("big.one", () => new Uint8Array(200 * KIB));
  const stuck = bluntClient(gateway.address, 0);
  const call = stuck.call("Request", false);
  for (const number of range(1, 8))
    call.say({ questions: [{ number, subject: "big.one", payload: json(1) }] });
  await until("it is cut off", () => stuck.isOver);
  await until("the gateway forgets it", () => gateway.load.calls === 0);
});

it("refuses a message above messageBytesMax with RESOURCE_EXHAUSTED", async () => {
  const { gateway } = await serve({ limits: { messageBytesMax: 64 * KIB } });
  const call = rawClient(gateway.address).call("Publish");
  call.say({ messages: [{ subject: "a.b", payload: Buffer.alloc(70 * KIB), contentType: "x/y" }] });
  expect((await call.ended).code).toBe(8);
});

it("closes clients beyond clientsMax, and lets one in when another has left", async () => {
  const { gateway } = await serve({ limits: { clientsMax: 1 } });
  const first = bluntClient(gateway.address);
  const open = { pattern: "a.b", group: "g" };
  const call = first.call("Subscribe");
  call.say({ open });
  await call.opened();
  const second = bluntClient(gateway.address);
  await until("the second is closed", () => second.isOver && gateway.load.refused === 1);
  first.die();
  await until("the first is gone", () => gateway.load.clients === 0);
  await rawClient(gateway.address).open("Subscribe", open);
});

it("lets further calls of a client wait for one of callsMax to end", async () => {
  const { gateway } = await serve({ limits: { callsMax: 1 } });
  const client = rawClient(gateway.address);
  const first = await client.open("Subscribe", { pattern: "a.b", group: "g" });
  const second = client.call("Publish");
  second.say({ messages: [{ number: 1, subject: "a.b", payload: json(1) }] });
  await first.gets(0);
  expect(second.results).toEqual([]);
  first.stream.cancel();
  await second.answers(1);
});

it("closes a connection that opens no call, and is not hurt by one that speaks no HTTP/2", async () => {
  const { gateway } = await serve({ handshakeMs: 100 });
  const [host = "", port = ""] = gateway.address.replace("grpc://", "").split(":");
  const ended: string[] = [];
  for (const words of ["", "GET / HTTP/1.1\r\n\r\n", "\0\0\0\0\0\0"]) {
    const socket = connect(Number(port), host, () => void socket.write(words));
    socket.resume();
    socket.on("error", () => {});
    socket.on("close", () => void ended.push(words));
    clients.push({ close: () => socket.destroy() });
  }
  await until("all are closed", () => ended.length === 3);
  const call = rawClient(gateway.address).call("Publish");
  call.say({ messages: [{ number: 1, subject: "a.b", payload: json(1) }] });
  await call.answers(1);
});

it("finds the message that kills its clients, counts only deaths of which it is guilty, and blames no other", async () => {
  const { node, gateway } = await serve({});
  const open = {
    pattern: "a.b",
    group: "g",
    durable: true,
    credit: 8,
    retry: { attempts: 2, capMs: 1, baseMs: 1 },
  };
  const numberIn = (payload: Buffer): number => JSON.parse(String(payload)).n;
  let deaths = 0;
  const acked = new Set<number>();
  const run = async (): Promise<void> => {
    const client = bluntClient(gateway.address);
    const call = client.call("Subscribe");
    call.say({ open });
    let settled = 0;
    await until("it dies or all is done", () => {
      const fresh = call.deliveries.slice(settled);
      if (fresh.some(({ payload }) => numberIn(payload) === 3)) {
        client.die();
        deaths++;
        return true;
      }
      settled += fresh.length;
      for (const { number, payload } of fresh) {
        acked.add(numberIn(payload));
        call.say({ settles: [{ number, ack: {} }] });
      }
      return Object.values(node.ledger()).some(({ dead }) => dead === 1) && acked.size === 5;
    });
  };
  await rawClient(gateway.address)
    .open("Subscribe", open)
    .then((call) => call.stream.cancel());
  await Promise.all(range(1, 6).map((n) => node.publish("a.b", { n })));
  while (!Object.values(node.ledger()).some(({ dead }) => dead === 1) || acked.size < 5)
    await run();
  expect(deaths).toBe(4); // two unseen, then one for each of its attempts
  const [letter, ...others] = await node.deadLetters.list({});
  expect(others).toEqual([]);
  expect(letter).toMatchObject({ attempts: 2 });
});

it.each<[GatewayOptions, string]>([
  [{ listen: { host: "0.0.0.0" } }, "INSECURE_LISTEN"],
  [{ limits: { clientsMax: 0 } }, "INVALID_OPTIONS"],
  [{ keepalive: 5 } as never, "INVALID_OPTIONS"],
])("refuses the options %j with %s", async (options, code) => {
  const error = await serve(options).catch((thrown: unknown) => thrown);
  expect(MeshError.is(error, code as never)).toBe(true);
});

it("says which address is taken", async () => {
  const { node, gateway } = await serve({});
  const port = Number(gateway.address.split(":").at(-1));
  const error = await serveGateway(node, { listen: { port } }).catch((thrown: unknown) => thrown);
  expect(MeshError.is(error, "ADDRESS_IN_USE")).toBe(true);
});
