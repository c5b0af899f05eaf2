/** A gateway of a node with keys: who comes in, and what its certificate lets it do, over real sockets. */
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Gateway, serveGateway } from "../../src/gateway/serve-gateway.ts";
import { createNode, type MeshNode } from "../../src/index.ts";
import { revoke } from "../../src/security/change-trust.ts";
import { renewKeys } from "../../src/security/issue-keys.ts";
import { type LoadedSecurity, loadSecurity } from "../../src/security/load-security.ts";
import type { RightsOptions } from "../../src/security/rights.ts";
import { until } from "../integration/until.ts";
import { KeysWorld } from "../security/keys-world.ts";
import { RawClient } from "./raw-client.ts";

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const world = new KeysWorld("shop");
afterAll(() => world[Symbol.dispose]());

const ALL: RightsOptions = {
  allow: { publish: [">"], subscribe: [">"], send: [">"], handle: [">"], request: [">"] },
};
const audited: string[] = [];
const logger = {
  debug: () => {},
  info: () => {},
  warn: (text: string, fields?: object) => void audited.push(`${text} ${JSON.stringify(fields)}`),
  error: () => {},
};

let node: MeshNode;
let security: LoadedSecurity;
let gateway: Gateway;
const clients: RawClient[] = [];

beforeEach(async () => {
  audited.length = 0;
  security = world.node({ service: "shop", ...ALL });
  node = await createNode({
    ...{ service: "shop", mesh: "shop", dataDir: ":memory:", discovery: [], security, logger },
    heartbeatThread: false,
  });
  gateway = await serveGateway(node, { logger });
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await gateway.stop({ drainMs: 0 });
  await node.stop();
});

const clientOf = (
  rights: RightsOptions,
  keys = world.node({ service: "tool", ...rights }),
): RawClient => {
  const client = new RawClient(gateway.address, keys);
  clients.push(client);
  return client;
};

const denied = (): number => node.counters()["security.denied"] ?? 0;

describe("a client with a certificate", () => {
  it("does what it allows, and is told of each thing that it does not", async () => {
    const client = clientOf({
      allow: {
        publish: ["order.*"],
        send: ["stock.*"],
        request: ["price.*"],
        subscribe: ["order.*"],
      },
      deny: { publish: ["order.secret"] },
    });
    await node.reply("price.get", () => ({ price: 1 }));
    await node.handle("stock.reserve", () => {});
    const tries = [
      ["Publish", "order.placed", true],
      ["Publish", "order.secret", false],
      ["Publish", "stock.reserve", false],
      ["Emit", "order.placed", true],
      ["Emit", "audit.x", false],
      ["Send", "stock.reserve", true],
      ["Send", "order.cancel", false],
    ] as const;
    for (const [verb, subject, allowed] of tries) {
      const before = denied();
      const call = client.call(verb);
      call.say({ messages: [{ number: 1, subject, payload: json({}) }] });
      const [result] = await call.answers(1);
      expect([verb, subject, result?.error?.code ?? "done"]).toEqual([
        verb,
        subject,
        allowed ? "done" : "UNAUTHORIZED",
      ]);
      expect(denied() - before).toBe(allowed ? 0 : 1);
      call.stream.end();
    }
    const asks = client.call("Request");
    asks.say({ questions: [{ number: 1, subject: "price.get", payload: json({}) }] });
    asks.say({ questions: [{ number: 2, subject: "salary.get", payload: json({}) }] });
    const answers = await asks.answers(2);
    expect(answers.find(({ number }) => number === 1)?.answer).toBeTruthy();
    expect(answers.find(({ number }) => number === 2)?.error?.code).toBe("UNAUTHORIZED");
    expect(audited.some((line) => line.includes("salary.get"))).toBe(true);
    expect(Object.keys(node.ledger())).not.toContain("command order.cancel");
  });

  it("opens no stream that its certificate does not allow: PERMISSION_DENIED", async () => {
    const client = clientOf({ allow: { subscribe: ["order.*"] } });
    const stream = await client.open("Subscribe", { pattern: "order.*", credit: 4 });
    await node.publish("order.placed", { n: 1 });
    expect(await stream.gets(1)).toHaveLength(1);
    for (const [verb, open] of [
      ["Subscribe", { pattern: "order.>", credit: 1 }],
      ["Subscribe", { pattern: "salary.*", credit: 1 }],
      ["Handle", { pattern: "order.cancel", credit: 1 }],
      ["Reply", { pattern: "price.get", credit: 1 }],
    ] as const) {
      const before = denied();
      const call = client.call(verb);
      call.say({ open });
      const { code, metadata } = await call.ended;
      expect([verb, code, metadata.get("meshbus-code")]).toEqual([verb, 7, ["UNAUTHORIZED"]]);
      expect(denied() - before).toBe(1);
    }
    // What an ack brings along is said by the client as well, and none of it leaves.
    stream.settle(1, { ack: { publish: [{ subject: "audit.seen", payload: json({}) }] } });
    await until("it is refused", () => stream.refused.length === 1);
    expect(stream.refused[0]?.error.code).toBe("UNAUTHORIZED");
  });

  it("is cut off when it is revoked, and not let in again", async () => {
    const keys = world.node({ service: "tool", ...ALL });
    const client = clientOf(ALL, keys);
    const stream = await client.open("Subscribe", { pattern: "order.*", credit: 4 });
    revoke(world.authority, { serial: keys.self.serial });
    expect(security.learnRevocations(world.authority.trust.revoked.bytes)).toBe("new");
    await stream.ended;
    const again = clientOf(ALL, keys).call("Publish");
    again.say({ messages: [{ number: 1, subject: "order.placed", payload: json({}) }] });
    expect((await again.ended).code).toBe(14);
    expect(audited.some((line) => line.includes("revoked"))).toBe(true);
  });

  it("goes on while the gateway renews, and newcomers see the new certificate", async () => {
    const client = clientOf(ALL);
    const stream = await client.open("Subscribe", { pattern: "order.*", credit: 4 });
    const folder = world.issue({ service: "shop", ...ALL });
    const own = loadSecurity(folder);
    await gateway.stop({ drainMs: 0 });
    await node.stop();
    await stream.ended;
    node = await createNode({
      ...{
        service: "shop",
        mesh: "shop",
        dataDir: ":memory:",
        discovery: [],
        security: own,
        logger,
      },
      heartbeatThread: false,
    });
    gateway = await serveGateway(node, { logger });
    const held = await clientOf(ALL).open("Subscribe", { pattern: "order.*", credit: 4 });
    renewKeys(world.authority, folder);
    expect(own.reload()).toBe(true);
    const shown = await shownBy(gateway.address, world.node({ service: "tool", ...ALL }));
    expect(shown).toBe(own.self.serial);
    await node.publish("order.placed", { n: 1 });
    expect(await held.gets(1)).toHaveLength(1);
  });
});

const shownBy = async (address: string, keys: LoadedSecurity): Promise<string> => {
  const { connect } = await import("node:tls");
  const { tlsDialOptions } = await import("../../src/transport/tls-channel.ts");
  const port = Number(address.split(":").at(-1));
  const socket = connect({ port, host: "127.0.0.1", ...tlsDialOptions(keys, "h2") });
  await new Promise<void>((resolve) => void socket.once("secureConnect", () => resolve()));
  const serial = socket.getPeerX509Certificate()?.serialNumber.toLowerCase() ?? "";
  socket.destroy();
  return serial.padStart(32, "0");
};

describe("a client without one", () => {
  it("does not come in: without TLS, of another mesh, of a stranger's authority", async () => {
    using bank = new KeysWorld("bank");
    using stranger = new KeysWorld("shop");
    for (const keys of [undefined, bank.node({ ...ALL }), stranger.node({ ...ALL })]) {
      const client = new RawClient(gateway.address, keys);
      clients.push(client);
      const call = client.call("Publish");
      call.say({ messages: [{ number: 1, subject: "order.placed", payload: json({}) }] });
      expect((await call.ended).code).toBe(14);
      expect(call.results).toEqual([]);
    }
  });

  it("comes in on loopback where the gateway asks for none, and beyond loopback there is no such gateway", async () => {
    const open = await serveGateway(node, { security: false, logger });
    const client = new RawClient(open.address);
    clients.push(client);
    const call = client.call("Publish");
    call.say({ messages: [{ number: 1, subject: "order.placed", payload: json({}) }] });
    expect((await call.answers(1))[0]?.accepted).toBeTruthy();
    await open.stop({ drainMs: 0 });
    const listen = { host: "0.0.0.0" };
    await expect(serveGateway(node, { security: false, listen, logger })).rejects.toMatchObject({
      code: "INSECURE_LISTEN",
    });
    const wide = await serveGateway(node, { listen, logger });
    await wide.stop({ drainMs: 0 });
    const plain = await createNode({
      service: "plain",
      dataDir: ":memory:",
      discovery: [],
      logger,
    });
    await expect(serveGateway(plain, { security: true, logger })).rejects.toMatchObject({
      code: "INVALID_OPTIONS",
    });
    await plain.stop();
  });
});
