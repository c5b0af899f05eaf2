/** What keys change at the transports: who gets in, who does not, and why. */
import { readFileSync } from "node:fs";
import { connect as connectPlain } from "node:net";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { curveKeyPair, Dealer } from "zeromq";
import { MeshError } from "../../src/errors.ts";
import type { Security } from "../../src/ports/security.ts";
import type { Transport } from "../../src/ports/transport.ts";
import { revoke } from "../../src/security/change-trust.ts";
import { issueKeys } from "../../src/security/issue-keys.ts";
import { loadSecurity } from "../../src/security/load-security.ts";
import { grpc } from "../../src/transport/grpc/grpc-transport.ts";
import { stream } from "../../src/transport/stream/stream-transport.ts";
import { zapHandler } from "../../src/transport/zeromq/zap-handler.ts";
import { ListenSocket } from "../../src/transport/zeromq/zeromq-sockets.ts";
import { zeromq } from "../../src/transport/zeromq/zeromq-transport.ts";
import { KeysWorld } from "../security/keys-world.ts";
import {
  DEADLINE_MS,
  FRAME_BYTES_MAX,
  Harness,
  numbered,
  type TestNode,
} from "./transport-harness.ts";

const keys = new KeysWorld();
const strangers = new KeysWorld("other");
afterAll(() => {
  keys[Symbol.dispose]();
  strangers[Symbol.dispose]();
});
const orders = keys.node({ service: "orders" });
const billing = keys.node({ service: "billing" });

const harnesses: Harness[] = [];
afterEach(async () => {
  await Promise.all(harnesses.splice(0).map((one) => one.stop()));
});
const harnessOf = (create: () => Transport): Harness => {
  const harness = new Harness(create, "127.0.0.1", DEADLINE_MS);
  harnesses.push(harness);
  return harness;
};
const nodeOf = (harness: Harness, security: Security | undefined): Promise<TestNode> =>
  harness.node(FRAME_BYTES_MAX, security);
const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString("hex");
const codeOf = async (dial: Promise<unknown>): Promise<string> =>
  dial.then(
    () => "connected",
    (error: unknown) => (MeshError.is(error) ? error.code : String(error)),
  );
/** An address as somebody without keys would write it. */
const bare = (address: string): string => address.replace(/\?.*/, "");

describe.each([
  ["tcp", stream],
  ["grpc", grpc],
] as const)("%s with keys", (scheme, create) => {
  it("shows both ends the key of the other's certificate", async () => {
    const harness = harnessOf(create);
    const server = await nodeOf(harness, orders);
    const client = await nodeOf(harness, billing);
    const { listener, accepted } = await harness.listen(server);
    const pair = await harness.connect(client, listener.address, accepted);
    const near = pair.dialed.connection.channel;
    const far = pair.accepted.connection.channel;
    expect([near?.kind, far?.kind]).toEqual(["tls", "tls"]);
    expect(hex(near?.peerKey)).toBe(hex(orders.self.publicKey));
    expect(hex(near?.ownKey)).toBe(hex(billing.self.publicKey));
    expect(hex(far?.peerKey)).toBe(hex(billing.self.publicKey));
  });

  it("does not let in a node without keys, nor one of another mesh, nor the other way round", async () => {
    const harness = harnessOf(create);
    const server = await nodeOf(harness, orders);
    const { listener, accepted } = await harness.listen(server);
    const plain = await nodeOf(harness, undefined);
    const stranger = await nodeOf(harness, strangers.node());
    for (const node of [plain, stranger]) {
      const dial = node.transport.dial(listener.address, { timeoutMs: DEADLINE_MS });
      const recorder = await dial.then((one) => harness.record(one)).catch(() => undefined);
      recorder?.connection.send(numbered(1, 64));
      await recorder?.until("closed", () => recorder.closes.length > 0, DEADLINE_MS);
    }
    const open = await harness.listen(plain);
    const client = await nodeOf(harness, billing);
    const code = await codeOf(client.transport.dial(open.listener.address, { timeoutMs: 5_000 }));
    expect(["UNAUTHORIZED", "PEER_LOST"]).toContain(code);
    expect(accepted).toHaveLength(0);
    expect(open.accepted.every((one) => one.received === 0)).toBe(true);
    await harness.poll(
      "counted",
      () => (server.context.counts.get("transport.malformed") ?? 0) >= 1,
    );
  });

  it("takes TLS 1.3 with a certificate of the mesh, and nothing else", async () => {
    const harness = harnessOf(create);
    const server = await nodeOf(harness, orders);
    const { listener, accepted } = await harness.listen(server);
    const port = Number(listener.address.split(":").at(-1));
    const { ca, cert, key } = billing.tls();
    const other = strangers.node().tls();
    const at = { port, host: "127.0.0.1", rejectUnauthorized: false };
    const tries = [
      { ...at, ca: [...ca], cert, key, maxVersion: "TLSv1.2" as const },
      { ...at, ca: [...ca] },
      { ...at, cert: other.cert, key: other.key },
    ];
    for (const options of tries) {
      const socket = connectTls({ ...options, checkServerIdentity: () => undefined });
      socket.on("error", () => {});
      await new Promise((resolve) => socket.once("close", resolve));
    }
    expect(accepted).toHaveLength(0);
    const counted = () => server.context.counts.get("transport.malformed");
    await harness.poll("all are counted", () => counted() === tries.length);
  });

  it("takes a certificate that was made by a clock 30 s ahead of this one", async () => {
    const ahead = keys.path(`ahead-${scheme}`);
    issueKeys(keys.authority, ahead, { service: "ahead" }, Date.now() + 30_000);
    const harness = harnessOf(create);
    const server = await nodeOf(harness, loadSecurity(ahead));
    const { listener, accepted } = await harness.listen(server);
    const pair = await harness.connect(await nodeOf(harness, billing), listener.address, accepted);
    expect(pair.dialed.connection.channel?.kind).toBe("tls");
  });

  it("begins a few handshakes of one address at once, and the rest in their turn", async () => {
    const harness = harnessOf(create);
    const server = await nodeOf(harness, orders);
    const { listener, accepted } = await harness.listen(server);
    const port = Number(listener.address.split(":").at(-1));
    const startMs = performance.now();
    const { ca, cert, key } = billing.tls();
    const tls = { ca: [...ca], cert, key, checkServerIdentity: () => undefined };
    const sockets = Array.from({ length: 36 }, () =>
      connectTls({ port, host: "127.0.0.1", ...tls }),
    );
    let ended = 0;
    for (const socket of sockets) {
      socket.on("error", () => {});
      socket.once("secureConnect", () => ended++);
      socket.once("close", () => ended++);
    }
    await harness.poll("all had their turn", () => ended >= 36);
    // Of one address 32 one after the other, then 4 a second.
    expect(performance.now() - startMs).toBeGreaterThan(4 * 240);
    for (const socket of sockets) socket.destroy();
    const client = await nodeOf(harness, billing);
    await harness.connect(client, listener.address, accepted);
  });

  it("cuts the oldest of those that begin a handshake and never end it", async () => {
    const harness = harnessOf(create);
    const server = await nodeOf(harness, orders);
    const { listener, accepted } = await harness.listen(server);
    const port = Number(listener.address.split(":").at(-1));
    const stuck = Array.from({ length: 200 }, () => connectPlain({ port, host: "127.0.0.1" }));
    let closed = 0;
    for (const socket of stuck) {
      socket.on("error", () => {});
      socket.on("close", () => closed++);
    }
    await harness.poll("the oldest are cut", () => closed >= 100);
    const client = await nodeOf(harness, billing);
    await harness.connect(client, listener.address, accepted);
    expect(server.context.counts.get("transport.handshakesCut")).toBeGreaterThan(100);
    for (const socket of stuck) socket.destroy();
  });
});

describe("ZeroMQ with keys", () => {
  it("needs the key that must answer, and says so", async () => {
    const harness = harnessOf(zeromq);
    const { listener } = await harness.listen(await nodeOf(harness, orders));
    expect(listener.address).toMatch(/^zmq:\/\/127\.0\.0\.1:\d+\?curve=[\w-]{43}$/);
    const client = await nodeOf(harness, billing);
    const plain = await nodeOf(harness, undefined);
    const wait = { timeoutMs: 1_000 };
    expect(await codeOf(client.transport.dial(bare(listener.address), wait))).toBe("UNAUTHORIZED");
    expect(await codeOf(plain.transport.dial(listener.address, wait))).toBe("UNAUTHORIZED");
  });

  it("shows the dialler the key it dialled, and the listener its own alone", async () => {
    const harness = harnessOf(zeromq);
    const server = await nodeOf(harness, orders);
    const client = await nodeOf(harness, billing);
    const { listener, accepted } = await harness.listen(server);
    const pair = await harness.connect(client, listener.address, accepted);
    expect(hex(pair.dialed.connection.channel?.peerKey)).toBe(hex(orders.self.curveKey));
    expect(hex(pair.accepted.connection.channel?.ownKey)).toBe(hex(orders.self.curveKey));
    expect(pair.accepted.connection.channel?.peerKey).toBeUndefined();
  });

  it("does not let in a client without CURVE, nor one that takes another key for the server's", async () => {
    const harness = harnessOf(zeromq);
    const { listener, accepted } = await harness.listen(await nodeOf(harness, orders));
    const plain = await nodeOf(harness, undefined);
    const wait = { timeoutMs: 2_000 };
    expect(await codeOf(plain.transport.dial(bare(listener.address), wait))).toBe("PEER_LOST");
    const client = await nodeOf(harness, billing);
    const wrong = Buffer.from(billing.self.curveKey).toString("base64url");
    const dial = client.transport.dial(`${bare(listener.address)}?curve=${wrong}`, wait);
    expect(await codeOf(dial)).toBe("PEER_LOST");
    expect(accepted).toHaveLength(0);
  });

  it("lets a client with any key come as far as the greeting", async () => {
    const harness = harnessOf(zeromq);
    const { listener, accepted } = await harness.listen(await nodeOf(harness, orders));
    const pair = curveKeyPair();
    const socket = new Dealer({
      linger: 0,
      curvePublicKey: pair.publicKey,
      curveSecretKey: pair.secretKey,
      curveServerKey: orders.curve.publicKey,
    });
    socket.connect(bare(listener.address).replace("zmq:", "tcp:"));
    await socket.send("hello");
    await harness.poll("accepted", () => (accepted[0]?.received ?? 0) === 1);
    socket.close();
  });

  it("refuses a key that is revoked, as soon as it is known whose it is", async () => {
    const world = new KeysWorld("revoking");
    try {
      const server = world.node({ service: "orders" });
      const thief = world.node({ service: "thief" });
      const harness = harnessOf(zeromq);
      const node = await nodeOf(harness, server);
      const { listener, accepted } = await harness.listen(node);
      await harness.connect(await nodeOf(harness, thief), listener.address, accepted);
      // What its greeting would show: from here on it is known whose key it is.
      expect("code" in server.verify(thief.self.chain, Date.now())).toBe(false);
      expect(server.isRevokedCurveKey(thief.self.curveKey)).toBe(false);
      revoke(world.authority, { nodeId: thief.self.nodeId });
      const list = readFileSync(join(world.path("authority"), "revoked.list"));
      expect(server.learnRevocations(list)).toBe("new");
      expect(server.isRevokedCurveKey(thief.self.curveKey)).toBe(true);
      const again = await nodeOf(harness, thief);
      const dial = again.transport.dial(listener.address, { timeoutMs: 1_000 });
      expect(await codeOf(dial)).toBe("PEER_LOST");
      expect(node.context.counts.get("transport.unauthorized")).toBeGreaterThan(0);
      expect(accepted).toHaveLength(1);
    } finally {
      world[Symbol.dispose]();
    }
  });

  it("refuses everybody when no handler answers for its domain", async () => {
    const { socket } = ListenSocket.create(
      {
        frameBytesMax: 1_024,
        sendFramesMax: 16,
        receiveFramesMax: 16,
        handshakeTimeoutMs: 1_000,
        ipv6: false,
      },
      { ...orders.curve, domain: "meshbus-nobody" },
    );
    await socket.bind("tcp://127.0.0.1:0");
    const harness = harnessOf(zeromq);
    const client = await nodeOf(harness, billing);
    const key = Buffer.from(orders.self.curveKey).toString("base64url");
    const address = `${String(socket.lastEndpoint).replace("tcp:", "zmq:")}?curve=${key}`;
    expect(zapHandler.isOpen).toBe(false);
    expect(await codeOf(client.transport.dial(address, { timeoutMs: 2_000 }))).toBe("PEER_LOST");
    // The same with a handler that knows other domains only.
    await harness.listen(await nodeOf(harness, billing));
    expect(zapHandler.isOpen).toBe(true);
    expect(await codeOf(client.transport.dial(address, { timeoutMs: 2_000 }))).toBe("PEER_LOST");
    socket.close();
  });

  it("closes its handler with the last listener, and leaves nodes without keys alone", async () => {
    const harness = harnessOf(zeromq);
    const server = await nodeOf(harness, orders);
    const { listener } = await harness.listen(server);
    const plain = await nodeOf(harness, undefined);
    const open = await harness.listen(plain);
    await harness.connect(await nodeOf(harness, undefined), open.listener.address, open.accepted);
    await listener.close();
    expect(zapHandler.isOpen).toBe(false);
  });
});
