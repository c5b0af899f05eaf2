/** What only the ZeroMQ transport can show: peers in other processes, and peers that break the rules. */
import { strict as assert } from "node:assert";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { afterEach, beforeEach, describe, test } from "vitest";
import { Dealer } from "zeromq";
import { MeshError } from "../../../src/errors.ts";
import { type ZeromqOptions, zeromq } from "../../../src/transport/zeromq/zeromq-transport.ts";
import { ownClock } from "../../own-clock.ts";
import { memoryTaken, PeerProcesses } from "../peer-process.ts";
import {
  DEADLINE_MS,
  Harness,
  numbered,
  numberOf,
  type Recorder,
  sendMany,
} from "../transport-harness.ts";

let harness: Harness;
let options: ZeromqOptions;
let peers: PeerProcesses;
let cleanups: (() => void)[];

beforeEach(() => {
  options = {};
  peers = new PeerProcesses();
  cleanups = [];
  harness = new Harness(() => zeromq(options), "127.0.0.1", DEADLINE_MS);
});

afterEach(async () => {
  for (const cleanup of cleanups) cleanup();
  peers.kill();
  await harness.stop();
  for (const recorder of harness.recorders) assert.deepEqual(recorder.breaches, []);
});

const portOf = (address: string) => Number(address.split(":").at(-1));
const tcpOf = (address: string) => address.replace("zmq:", "tcp:");

async function lostBy(recorder: Recorder): Promise<void> {
  await recorder.until("closed", () => recorder.closes.length > 0, DEADLINE_MS);
  assert.ok(MeshError.is(recorder.closes[0], "PEER_LOST"));
}

async function echoes(recorder: Recorder, text: string): Promise<void> {
  const before = recorder.received;
  recorder.connection.send(Buffer.from(text));
  await recorder.until("echo", () => recorder.received > before, DEADLINE_MS);
  assert.equal(Buffer.from(recorder.frames.at(-1) as Uint8Array).toString(), text);
}

/** A listener, and a check that it still accepts and carries frames. */
async function listening() {
  const server = await harness.node();
  const { listener, accepted } = await harness.listen(server);
  const count = (name: string) => server.context.counts.get(name) ?? 0;
  const goesOn = async () => {
    const client = await harness.node();
    const pair = await harness.connect(client, listener.address, accepted);
    pair.dialed.connection.send(numbered(1, 10));
    await pair.accepted.until("frame", () => pair.accepted.received === 1, DEADLINE_MS);
  };
  return { listener, accepted, count, goesOn };
}

/** A bare TCP client. */
function bareClient(address: string): { socket: Socket; closed: Promise<void> } {
  const socket = connect(portOf(address), "127.0.0.1");
  socket.on("error", () => {});
  socket.resume();
  cleanups.push(() => socket.destroy());
  return { socket, closed: new Promise((resolve) => socket.on("close", () => resolve())) };
}

/** A bare DEALER, as a peer that knows nothing of our rules. */
function bareDealer(address: string, routingId?: string): Dealer {
  const dealer = new Dealer({ linger: 0, ...(routingId === undefined ? {} : { routingId }) });
  dealer.connect(tcpOf(address));
  cleanups.push(() => dealer.close());
  return dealer;
}

describe("peers in other processes", () => {
  test("a listener killed with SIGKILL is noticed by the dialler", async () => {
    const { child, line } = await peers.start("listen");
    const dialed = await harness.dial(await harness.node(), line);
    await echoes(dialed, "hello");
    child.kill("SIGKILL");
    await lostBy(dialed);
  });

  test("a dialler killed with SIGKILL is noticed by the listener", async () => {
    const { listener, accepted } = await listening();
    const { child } = await peers.start("dial", listener.address);
    await harness.poll("accepted", () => accepted.length === 1);
    const [peer] = accepted as [Recorder];
    await peer.until("frame", () => peer.received === 1, DEADLINE_MS);
    child.kill("SIGKILL");
    await lostBy(peer);
  });

  test("a dialler killed in a flood, while the listener's event loop is blocked, is noticed", async () => {
    const { listener, accepted } = await listening();
    const { child } = await peers.start("dial", listener.address);
    await harness.poll("accepted", () => accepted.length === 1);
    const [peer] = accepted as [Recorder];
    peer.keep = false;
    peer.connection.send(Buffer.from("flood"));
    await peer.until("flood", () => peer.received > 100, DEADLINE_MS);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200); // fills libzmq's queue
    child.kill("SIGKILL");
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    await lostBy(peer);
  });

  test("a close by a peer process is orderly", async () => {
    const { line } = await peers.start("listen");
    const dialed = await harness.dial(await harness.node(), line);
    dialed.connection.send(Buffer.from("close"));
    await dialed.until("closed", () => dialed.closes.length > 0, DEADLINE_MS);
    assert.equal(dialed.closes[0], undefined);
  });

  for (const role of ["dialling", "listening"] as const) {
    test(`a ${role} process ends by itself after stop()`, async () => {
      const { listener, accepted } = await listening();
      const { child, line } = await peers.start(
        ...(role === "dialling" ? ["dial", listener.address] : ["listen"]),
      );
      let peer: Recorder;
      if (role === "dialling") {
        await harness.poll("accepted", () => accepted.length === 1);
        peer = accepted[0] as Recorder;
      } else {
        peer = await harness.dial(await harness.node(), line);
      }
      const exit = once(child, "exit");
      peer.connection.send(Buffer.from("exit"));
      const [exitCode] = (await exit) as [number | null];
      assert.equal(exitCode, 0);
      await peer.until("closed", () => peer.closes.length > 0, DEADLINE_MS);
      assert.equal(peer.closes[0], undefined);
    });
  }

  test("a stopped process that reads nothing delays no other peer and then gets all in order", async () => {
    const { listener, accepted, count } = await listening();
    const { child } = await peers.start("dial", listener.address);
    await harness.poll("accepted", () => accepted.length === 1);
    const slow = accepted[0] as Recorder;
    await slow.until("frame", () => slow.received === 1, DEADLINE_MS);
    child.kill("SIGSTOP");
    let sent = 0;
    while (count("transport.highWater") === 0 && sent < 5_000) {
      slow.connection.send(numbered(sent, 65_536));
      sent += 1;
      await new Promise((resolve) => setImmediate(resolve));
    }
    const quick = await harness.connect(await harness.node(), listener.address, accepted);
    quick.accepted.onFrame = (bytes) => quick.accepted.connection.send(bytes);
    for (let round = 0; round < 100; round += 1) await echoes(quick.dialed, `round ${round}`);
    assert.ok(slow.connection.bufferedBytes > 0);
    slow.frames.length = 0;
    child.kill("SIGCONT");
    await slow.until("echoes", () => slow.received === sent + 1, DEADLINE_MS);
    assert.deepEqual(slow.frames.map(numberOf), [...Array(sent).keys()]);
    assert.equal(slow.connection.bufferedBytes, 0);
    assert.equal(slow.drains, 1);
  });

  test("a close waits for a peer that does not read, and gives up after half a second", async () => {
    const { child, line } = await peers.start("listen");
    const client = await harness.node();
    const dialed = await harness.dial(client, line);
    await echoes(dialed, "hello");
    child.kill("SIGSTOP");
    for (let number = 0; number < 400; number += 1)
      dialed.connection.send(numbered(number, 65_536));
    const startMs = ownClock.monotonicMs();
    await client.transport.stop();
    const tookMs = ownClock.monotonicMs() - startMs;
    assert.ok(tookMs > 400 && tookMs < 3_000, `${tookMs} ms`);
    assert.equal(client.context.counts.get("transport.discarded"), 1);
    child.kill("SIGCONT");
  });

  test("a DEALER at its high-water mark waits, then sends on in order", async () => {
    const { child, line } = await peers.start("listen");
    const client = await harness.node();
    const dialed = await harness.dial(client, line);
    await echoes(dialed, "hello");
    dialed.frames.length = 0;
    child.kill("SIGSTOP");
    const sending = sendMany(dialed, 600, 65_536, DEADLINE_MS);
    await harness.poll(
      "high water",
      () => (client.context.counts.get("transport.highWater") ?? 0) > 0,
    );
    assert.ok(dialed.connection.bufferedBytes > 0);
    child.kill("SIGCONT");
    await sending;
    await dialed.until("echoes", () => dialed.received === 601, DEADLINE_MS);
    assert.deepEqual(dialed.frames.map(numberOf), [...Array(600).keys()]);
  });
});

describe("peers that break the rules", () => {
  test("another protocol on the port is closed, counted, and the listener goes on", async () => {
    options = { handshakeTimeoutMs: 200 };
    const { listener, count, goesOn } = await listening();
    const handshake = "\xff\0\0\0\0\0\0\0\x01\x7f\x03\0CURVE".padEnd(64, "\0");
    for (const bytes of [
      handshake,
      "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
      "\x16\x03\x01\x02\x00\x01\x00",
      "\0".repeat(300),
    ]) {
      const before = count("transport.malformed");
      const { socket, closed } = bareClient(listener.address);
      socket.write(bytes, "latin1");
      await closed;
      await harness.poll("counted", () => count("transport.malformed") === before + 1);
    }
    await goesOn();
  });

  test("connections that come and go in order are counted as nothing", async () => {
    const { listener, accepted, count } = await listening();
    const client = await harness.node();
    for (let index = 0; index < 200; index += 1) {
      const dialed = await harness.dial(client, listener.address);
      dialed.connection.close();
      await dialed.until("closed", () => dialed.closes.length > 0, DEADLINE_MS);
    }
    await harness.poll(
      "all closed",
      () => accepted.filter((one) => one.closes.length > 0).length === 200,
    );
    // Whatever is counted late was counted once this one is.
    const { socket, closed } = bareClient(listener.address);
    socket.write("GET / HTTP/1.1\r\n\r\n");
    await closed;
    await harness.poll("counted", () => count("transport.malformed") > 0);
    assert.equal(count("transport.malformed"), 1);
  });

  test("a client that says nothing is closed after handshakeTimeoutMs", async () => {
    options = { handshakeTimeoutMs: 200 };
    const { listener, accepted, count, goesOn } = await listening();
    await bareClient(listener.address).closed;
    await harness.poll("counted", () => count("transport.malformed") === 1);
    assert.equal(accepted.length, 0);
    await goesOn();
  });

  const CLAIM = Buffer.from("02000000007fffffff", "hex");

  test("a header that claims 2 GiB closes the connection, and the listener goes on", async () => {
    const { listener, accepted, goesOn } = await listening();
    const { socket, closed } = bareClient(listener.address);
    socket.write(Buffer.concat([GREETING, READY]));
    await harness.poll("accepted", () => accepted.length === 1);
    socket.write(CLAIM);
    await closed;
    await lostBy(accepted[0] as Recorder);
    await goesOn();
  });

  test("a header that claims 2 GiB takes no memory", async () => {
    const { line } = await peers.start("listen");
    const peer = await harness.dial(await harness.node(), line);
    const taken = await memoryTaken(peer, async () => {
      const { socket, closed } = bareClient(line);
      socket.write(Buffer.concat([GREETING, READY, CLAIM]));
      await closed;
    });
    assert.ok(taken.residentMb < 64 && taken.reservedMb < 1_024, JSON.stringify(taken));
  });

  test("a message of several parts closes that connection and is counted", async () => {
    const { listener, accepted, count, goesOn } = await listening();
    const dealer = bareDealer(listener.address);
    await dealer.send(["two", "parts"]);
    await harness.poll("accepted", () => accepted.length === 1);
    const peer = accepted[0] as Recorder;
    await lostBy(peer);
    assert.equal(count("transport.malformed"), 1);
    const [answer] = await dealer.receive();
    assert.equal(answer?.length, 0, "the peer is told by the close marker");
    await dealer.send("more");
    await goesOn();
    assert.equal(peer.received, 0);
  });

  test("empty messages cannot make one connection look like several", async () => {
    const { listener, accepted, count, goesOn } = await listening();
    const dealer = bareDealer(listener.address);
    for (let index = 0; index < 5; index += 1) await dealer.send("");
    await dealer.send("data");
    await harness.poll("discarded", () => count("transport.discarded") === 5);
    assert.equal(accepted.length, 1);
    assert.deepEqual(accepted[0]?.closes, [undefined]);
    assert.equal(accepted[0]?.received, 0);
    await goesOn();
  });

  test("a peer that chooses its own routing id is not accepted", async () => {
    const { listener, accepted, count, goesOn } = await listening();
    const dealer = bareDealer(listener.address, "me");
    await dealer.send("hello");
    const [answer] = await dealer.receive();
    assert.equal(answer?.length, 0);
    await harness.poll("counted", () => count("transport.malformed") >= 2);
    assert.equal(accepted.length, 0);
    await goesOn();
  });

  test("connections beyond connectionsMax are closed", async () => {
    options = { connectionsMax: 2 };
    const { listener, accepted, count } = await listening();
    const client = await harness.node();
    await harness.connect(client, listener.address, accepted);
    const second = await harness.connect(client, listener.address, accepted);
    const third = await harness.dial(client, listener.address);
    await third.until("closed", () => third.closes.length > 0, DEADLINE_MS);
    assert.equal(count("transport.refused"), 1);
    second.dialed.connection.close();
    await second.accepted.until("closed", () => second.accepted.closes.length > 0, DEADLINE_MS);
    await harness.poll("room", () => accepted.length === 2);
    await assertRoom(client, listener.address, accepted);
  });

  test("a server of another protocol is PEER_LOST to the dialler", async () => {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.write("220 mail.example ESMTP\r\n");
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    cleanups.push(() => server.close());
    const { port } = server.address() as { port: number };
    const { transport } = await harness.node();
    const error = await transport
      .dial(`zmq://127.0.0.1:${port}`, { timeoutMs: 300 })
      .catch((caught: unknown) => caught);
    assert.ok(MeshError.is(error, "PEER_LOST"));
  });

  test("options out of range are named, all at once", () => {
    assert.throws(
      () => zeromq({ sendFramesMax: 0, connectionsMax: 1.5 }),
      (error) =>
        MeshError.is(error, "INVALID_OPTIONS") &&
        error.message.includes("zeromq.sendFramesMax 0") &&
        error.message.includes("zeromq.connectionsMax 1.5"),
    );
  });
});

/** The place of a closed connection is free once libzmq has seen the peer go. */
async function assertRoom(
  client: Awaited<ReturnType<Harness["node"]>>,
  address: string,
  accepted: Recorder[],
): Promise<void> {
  const before = accepted.length;
  const endMs = performance.now() + DEADLINE_MS;
  while (accepted.length === before && performance.now() < endMs)
    await harness.dial(client, address);
  assert.ok(accepted.length > before);
}

/** ZMTP 3.0 greeting with mechanism NULL, and the READY command of a DEALER. */
const GREETING = Buffer.concat([
  Buffer.from([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0]),
  Buffer.from("NULL".padEnd(20, "\0"), "latin1"),
  Buffer.alloc(32),
]);
const READY = Buffer.concat([
  Buffer.from([0x04, 28]),
  Buffer.from("\x05READY\x0bSocket-Type\0\0\0\x06DEALER", "latin1"),
]);
