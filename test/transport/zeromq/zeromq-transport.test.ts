/** What only the ZeroMQ transport can show: peers in other processes, and peers that break the rules. */
import { strict as assert } from "node:assert";
import { once } from "node:events";
import { createServer } from "node:net";
import { describe, test } from "vitest";
import { Dealer } from "zeromq";
import { MeshError } from "../../../src/errors.ts";
import { type ZeromqOptions, zeromq } from "../../../src/transport/zeromq/zeromq-transport.ts";
import { describeBetweenProcesses } from "../between-processes.ts";
import { memoryTaken } from "../peer-process.ts";
import {
  DEADLINE_MS,
  type Harness,
  numberOf,
  type Recorder,
  sendMany,
} from "../transport-harness.ts";
import { echoes, lostBy, WireRig } from "../wire-rig.ts";

const rig = new WireRig<ZeromqOptions>("zmq:", zeromq);
const tcpOf = (address: string) => address.replace("zmq:", "tcp:");

/** A bare DEALER, as a peer that knows nothing of our rules. */
function bareDealer(address: string, routingId?: string): Dealer {
  const dealer = new Dealer({ linger: 0, ...(routingId === undefined ? {} : { routingId }) });
  dealer.connect(tcpOf(address));
  rig.ends(() => dealer.close());
  return dealer;
}

describeBetweenProcesses(rig);

describe("peers in other processes, beside libzmq's queues", () => {
  test("a dialler killed in a flood, while the listener's event loop is blocked, is noticed", async () => {
    const { listener, accepted } = await rig.listening();
    const { child } = await rig.peers.start("dial", listener.address);
    await rig.harness.poll("accepted", () => accepted.length === 1);
    const [peer] = accepted as [Recorder];
    peer.keep = false;
    peer.connection.send(Buffer.from("flood"));
    await peer.until("flood", () => peer.received > 100, DEADLINE_MS);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200); // fills libzmq's queue
    child.kill("SIGKILL");
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    await lostBy(peer);
  });

  test("a DEALER at its high-water mark waits, then sends on in order", async () => {
    const { child, line } = await rig.peers.start("listen");
    const client = await rig.harness.node();
    const dialed = await rig.harness.dial(client, line);
    await echoes(dialed, "hello");
    dialed.frames.length = 0;
    child.kill("SIGSTOP");
    const sending = sendMany(dialed, 600, 65_536, DEADLINE_MS);
    await rig.harness.poll(
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
    rig.options = { handshakeTimeoutMs: 1_000 };
    const { listener, count, goesOn } = await rig.listening();
    const handshake = "\xff\0\0\0\0\0\0\0\x01\x7f\x03\0CURVE".padEnd(64, "\0");
    for (const bytes of [
      handshake,
      "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
      "\x16\x03\x01\x02\x00\x01\x00",
      "\0".repeat(300),
    ]) {
      const before = count("transport.malformed");
      const { socket, closed } = rig.bareClient(listener.address);
      socket.write(bytes, "latin1");
      await closed;
      await rig.harness.poll("counted", () => count("transport.malformed") === before + 1);
    }
    await goesOn();
  });

  test("connections that come and go in order are counted as nothing", async () => {
    const { listener, accepted, count } = await rig.listening();
    const client = await rig.harness.node();
    for (let index = 0; index < 200; index += 1) {
      const dialed = await rig.harness.dial(client, listener.address);
      dialed.connection.close();
      await dialed.until("closed", () => dialed.closes.length > 0, DEADLINE_MS);
    }
    await rig.harness.poll(
      "all closed",
      () => accepted.filter((one) => one.closes.length > 0).length === 200,
    );
    // Whatever is counted late was counted once this one is.
    const { socket, closed } = rig.bareClient(listener.address);
    socket.write("GET / HTTP/1.1\r\n\r\n");
    await closed;
    await rig.harness.poll("counted", () => count("transport.malformed") > 0);
    assert.equal(count("transport.malformed"), 1);
  });

  test("a client that says nothing is closed after handshakeTimeoutMs", async () => {
    rig.options = { handshakeTimeoutMs: 1_000 };
    const { listener, accepted, count, goesOn } = await rig.listening();
    await rig.bareClient(listener.address).closed;
    await rig.harness.poll("counted", () => count("transport.malformed") === 1);
    assert.equal(accepted.length, 0);
    await goesOn();
  });

  const CLAIM = Buffer.from("02000000007fffffff", "hex");

  test("a header that claims 2 GiB closes the connection, and the listener goes on", async () => {
    const { listener, accepted, goesOn } = await rig.listening();
    const { socket, closed } = rig.bareClient(listener.address);
    socket.write(Buffer.concat([GREETING, READY]));
    await rig.harness.poll("accepted", () => accepted.length === 1);
    socket.write(CLAIM);
    await closed;
    await lostBy(accepted[0] as Recorder);
    await goesOn();
  });

  test("a header that claims 2 GiB takes no memory", async () => {
    const { line } = await rig.peers.start("listen");
    const peer = await rig.dial(line);
    const taken = await memoryTaken(peer, async () => {
      const { socket, closed } = rig.bareClient(line);
      socket.write(Buffer.concat([GREETING, READY, CLAIM]));
      await closed;
    });
    assert.ok(taken.residentMb < 64 && taken.reservedMb < 1_024, JSON.stringify(taken));
  });

  test("a message of several parts closes that connection and is counted", async () => {
    const { listener, accepted, count, goesOn } = await rig.listening();
    const dealer = bareDealer(listener.address);
    await dealer.send(["two", "parts"]);
    await rig.harness.poll("accepted", () => accepted.length === 1);
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
    const { listener, accepted, count, goesOn } = await rig.listening();
    const dealer = bareDealer(listener.address);
    for (let index = 0; index < 5; index += 1) await dealer.send("");
    await dealer.send("data");
    await rig.harness.poll("discarded", () => count("transport.discarded") === 5);
    assert.equal(accepted.length, 1);
    assert.deepEqual(accepted[0]?.closes, [undefined]);
    assert.equal(accepted[0]?.received, 0);
    await goesOn();
  });

  test("a peer that chooses its own routing id is not accepted", async () => {
    const { listener, accepted, count, goesOn } = await rig.listening();
    const dealer = bareDealer(listener.address, "me");
    await dealer.send("hello");
    const [answer] = await dealer.receive();
    assert.equal(answer?.length, 0);
    await rig.harness.poll("counted", () => count("transport.malformed") >= 2);
    assert.equal(accepted.length, 0);
    await goesOn();
  });

  test("connections beyond connectionsMax are closed", async () => {
    rig.options = { connectionsMax: 2 };
    const { listener, accepted, count } = await rig.listening();
    const client = await rig.harness.node();
    await rig.harness.connect(client, listener.address, accepted);
    const second = await rig.harness.connect(client, listener.address, accepted);
    const third = await rig.harness.dial(client, listener.address);
    await third.until("closed", () => third.closes.length > 0, DEADLINE_MS);
    assert.equal(count("transport.refused"), 1);
    second.dialed.connection.close();
    await second.accepted.until("closed", () => second.accepted.closes.length > 0, DEADLINE_MS);
    await rig.harness.poll("room", () => accepted.length === 2);
    await assertRoom(client, listener.address, accepted);
  });

  test("a server of another protocol is PEER_LOST to the dialler", async () => {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.write("220 mail.example ESMTP\r\n");
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    rig.ends(() => server.close());
    const { port } = server.address() as { port: number };
    const { transport } = await rig.harness.node();
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
    await rig.harness.dial(client, address);
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
