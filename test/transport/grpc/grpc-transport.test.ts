/** What only the gRPC transport can show: peers in other processes, and peers that break the rules. */
import { strict as assert } from "node:assert";
import { execFile } from "node:child_process";
import { once } from "node:events";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
} from "node:http2";
import { createServer, type Socket } from "node:net";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { describe, test } from "vitest";
import { MeshError } from "../../../src/errors.ts";
import { type GrpcOptions, grpc } from "../../../src/transport/grpc/grpc-transport.ts";
import { describeBetweenProcesses } from "../between-processes.ts";
import { memoryTaken } from "../peer-process.ts";
import { DEADLINE_MS, FRAME_BYTES_MAX, numbered, type Recorder } from "../transport-harness.ts";
import { closeOf, echoes, lostBy, portOf, WireRig } from "../wire-rig.ts";

const rig = new WireRig<GrpcOptions>("grpc", grpc);

/** A bare HTTP/2 client, as a peer that knows nothing of our rules. */
const bareSession = (address: string): ClientHttp2Session => {
  const session = connectHttp2(`http://127.0.0.1:${portOf(address)}`);
  session.on("error", () => {});
  rig.ends(() => session.destroy());
  return session;
};

const bareCall = (session: ClientHttp2Session, headers: object = {}): ClientHttp2Stream => {
  const call = session.request({
    ":method": "POST",
    ":path": "/meshbus.v1.Link/Open",
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  });
  call.on("error", () => {});
  return call;
};

/** A gRPC message: a flag, a length, bytes. */
const message = (bytes: Buffer, flag = 0, length = bytes.length): Buffer => {
  const head = Buffer.alloc(5);
  head.writeUInt8(flag);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, bytes]);
};

/** Of a listener in a process of its own, while a bare call says this to it. */
const takenBy = async (bytes: Buffer, headers: object = {}): Promise<void> => {
  const { line } = await rig.peers.start("listen", "grpc");
  const peer = await rig.dial(line);
  const taken = await memoryTaken(peer, async () => {
    const call = bareCall(bareSession(line), headers);
    const closed = closeOf(call.resume());
    call.write(bytes);
    await closed;
  });
  assert.ok(taken.residentMb < 64 && taken.reservedMb < 1_024, JSON.stringify(taken));
};

describeBetweenProcesses(rig);

describe("a dial", () => {
  test("of a port that accepts and says nothing gives up in time and keeps no socket", async () => {
    const sockets = new Set<Socket>();
    const silent = createServer((socket) => {
      socket.on("error", () => {});
      sockets.add(socket.resume());
      socket.once("close", () => sockets.delete(socket));
    });
    await once(silent.listen(0, "127.0.0.1"), "listening");
    rig.ends(() => silent.close());
    const { port } = silent.address() as { port: number };
    const { transport } = await rig.harness.node();
    const dial = transport.dial(`grpc://127.0.0.1:${port}`, { timeoutMs: 300 });
    const error = await dial.catch((reason: unknown) => reason);
    assert.ok(MeshError.is(error, "PEER_LOST"));
    await rig.harness.poll("no socket is left", () => sockets.size === 0);
  });

  test("of another protocol's port fails with PEER_LOST", async () => {
    const http = createServer((socket) => {
      socket.on("error", () => {});
      socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    await once(http.listen(0, "127.0.0.1"), "listening");
    rig.ends(() => http.close());
    const { port } = http.address() as { port: number };
    const { transport } = await rig.harness.node();
    const dial = transport.dial(`grpc://127.0.0.1:${port}`, { timeoutMs: DEADLINE_MS });
    assert.ok(MeshError.is(await dial.catch((reason: unknown) => reason), "PEER_LOST"));
  });
});

describe("peers that break the rules", () => {
  for (const [what, bytes] of [
    ["HTTP/1", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"],
    ["TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcdefghijklmnopqrstuvwxyz"],
    ["ZMTP", "\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0"],
  ] as const) {
    test(`${what} on the port is closed, counted, and the listener goes on`, async () => {
      const { listener, accepted, count, goesOn } = await rig.listening();
      const { socket, closed } = rig.bareClient(listener.address);
      socket.write(bytes, "latin1");
      await closed;
      await rig.harness.poll("counted", () => count("transport.malformed") === 1);
      assert.equal(accepted.length, 0);
      await goesOn();
    });
  }

  test("a socket that says nothing is closed in time and is no fault", async () => {
    rig.options = { handshakeTimeoutMs: 100 };
    const { listener, count, goesOn } = await rig.listening();
    await rig.bareClient(listener.address).closed;
    assert.equal(count("transport.malformed"), 0);
    await goesOn();
  });

  test("HTTP/2 without a call is closed in time and counted", async () => {
    rig.options = { handshakeTimeoutMs: 100 };
    const { listener, count, goesOn } = await rig.listening();
    await closeOf(bareSession(listener.address));
    await rig.harness.poll("counted", () => count("transport.malformed") === 1);
    await goesOn();
  });

  test("another method, and what is not gRPC, is answered and opens nothing", async () => {
    const { listener, accepted, goesOn } = await rig.listening();
    const session = bareSession(listener.address);
    const wrongPath = bareCall(session, { ":path": "/meshbus.v1.Link/Close" });
    const [answer] = (await once(wrongPath, "response")) as [Record<string, string>];
    assert.equal(Number(answer["grpc-status"]), 12); // UNIMPLEMENTED
    const wrongType = bareCall(session, { "content-type": "application/json" });
    const [refusal] = (await once(wrongType, "response")) as [Record<string, number>];
    assert.equal(refusal[":status"], 415);
    assert.equal(accepted.length, 0);
    await goesOn();
  });

  test("a message that claims 2 GiB ends the call without memory", async () => {
    const { listener, accepted, goesOn } = await rig.listening();
    const call = bareCall(bareSession(listener.address));
    await rig.harness.poll("accepted", () => accepted.length === 1);
    const claim = message(Buffer.alloc(0), 0, 0x7fff_ffff);
    call.write(claim);
    await lostBy(accepted[0] as Recorder);
    await goesOn();
    await takenBy(claim);
  });

  test("a message that unpacks to more than frameBytesMax ends the call without memory", async () => {
    const { listener, accepted, goesOn } = await rig.listening();
    const call = bareCall(bareSession(listener.address), { "grpc-encoding": "gzip" });
    await rig.harness.poll("accepted", () => accepted.length === 1);
    const peer = accepted[0] as Recorder;
    const small = gzipSync(Buffer.from("packed"));
    call.write(message(small, 1));
    await peer.until("frame", () => peer.received === 1, DEADLINE_MS);
    assert.equal(Buffer.from(peer.frames[0] as Uint8Array).toString(), "packed");
    const bomb = gzipSync(Buffer.alloc(256 * 2 ** 20));
    assert.ok(bomb.length < FRAME_BYTES_MAX);
    call.write(message(bomb, 1));
    await lostBy(peer);
    assert.equal(peer.received, 1);
    await goesOn();
    await takenBy(message(bomb, 1), { "grpc-encoding": "gzip" });
  });

  test("half a message and an end is a lost peer, and none of it is handed over", async () => {
    const { listener, accepted, goesOn } = await rig.listening();
    const session = bareSession(listener.address);
    const call = bareCall(session);
    call.write(message(Buffer.from("half"), 0, 16));
    await rig.harness.poll("accepted", () => accepted.length === 1);
    session.destroy();
    const peer = accepted[0] as Recorder;
    await lostBy(peer);
    assert.equal(peer.received, 0);
    await goesOn();
  });

  test("an end of the call without the close marker is a lost peer", async () => {
    const { listener, accepted, goesOn } = await rig.listening();
    bareCall(bareSession(listener.address)).end(message(Buffer.from("last")));
    await rig.harness.poll("accepted", () => accepted.length === 1);
    const peer = accepted[0] as Recorder;
    await lostBy(peer);
    assert.deepEqual(
      peer.frames.map((frame) => Buffer.from(frame).toString()),
      ["last"],
    );
    await goesOn();
  });

  test("a peer that opens calls and reads nothing delays nobody, and is cut off when it is closed", async () => {
    const { listener, accepted, goesOn } = await rig.listening();
    const session = bareSession(listener.address);
    const calls = Array.from({ length: 40 }, () => bareCall(session).pause());
    await rig.harness.poll("some are accepted", () => accepted.length === 16);
    const deaf = accepted.slice();
    for (const { connection } of deaf) {
      for (let number = 0; number < 16; number += 1) connection.send(numbered(number, 65_536));
    }
    const quick = await rig.harness.connect(await rig.harness.node(), listener.address, accepted);
    quick.accepted.onFrame = (bytes) => quick.accepted.connection.send(bytes);
    for (let round = 0; round < 50; round += 1) await echoes(quick.dialed, `round ${round}`);
    assert.ok(deaf.every(({ connection }) => connection.bufferedBytes > 0));
    assert.ok(calls.length > deaf.length);
    for (const { connection } of deaf) connection.close();
    await closeOf(session);
    await goesOn();
  });

  test("connections beyond connectionsMax are refused and counted, and room comes back", async () => {
    rig.options = { connectionsMax: 2 };
    const { listener, accepted, count, goesOn } = await rig.listening();
    const first = bareSession(listener.address);
    bareCall(first);
    bareCall(first);
    await rig.harness.poll("both are in", () => accepted.length === 2);
    const [refusal] = (await once(bareCall(first), "response")) as [Record<string, string>];
    assert.equal(Number(refusal["grpc-status"]), 8); // RESOURCE_EXHAUSTED
    assert.equal(count("transport.refused"), 1);
    const second = rig.bareClient(listener.address);
    await once(second.socket, "connect");
    await rig.bareClient(listener.address).closed;
    assert.equal(count("transport.refused"), 2);
    second.socket.destroy();
    first.destroy();
    await rig.harness.poll("both are out", () => accepted.every(({ closes }) => closes.length > 0));
    await goesOn();
  });
});

test("options out of range are INVALID_OPTIONS, all at once", () => {
  assert.throws(
    () => grpc({ port: 65_536, connectionsMax: 0, handshakeTimeoutMs: 99 }),
    (error) =>
      MeshError.is(error, "INVALID_OPTIONS") &&
      error.message.includes("grpc.port 65536") &&
      error.message.includes("grpc.connectionsMax 0") &&
      error.message.includes("grpc.handshakeTimeoutMs 99"),
  );
});

test("grpc-js is loaded by meshbus/grpc and not by meshbus", async () => {
  const loadedBy = async (module: string): Promise<number> => {
    const url = new URL(`../../../.build/src/${module}`, import.meta.url).href;
    const program = `import { createRequire } from "node:module";
      await import(${JSON.stringify(url)});
      const { cache } = createRequire(import.meta.url);
      console.log(Object.keys(cache).filter((name) => name.includes("grpc-js")).length);`;
    const run = promisify(execFile);
    const { stdout } = await run(process.execPath, ["--input-type=module", "-e", program]);
    return Number(stdout);
  };
  assert.equal(await loadedBy("index.js"), 0);
  assert.ok((await loadedBy("transport/grpc/grpc-transport.js")) > 20);
});
