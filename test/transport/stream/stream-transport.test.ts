/** What only the stream transport can show: peers in other processes, and peers that break the rules. */
import { strict as assert } from "node:assert";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterEach, beforeEach, describe, test } from "vitest";
import { MeshError } from "../../../src/errors.ts";
import { PREAMBLE } from "../../../src/transport/stream/frame-reader.ts";
import { type StreamOptions, stream } from "../../../src/transport/stream/stream-transport.ts";
import { ownClock } from "../../own-clock.ts";
import { memoryTaken, PeerProcesses } from "../peer-process.ts";
import { DEADLINE_MS, Harness, numbered, numberOf, type Recorder } from "../transport-harness.ts";

let harness: Harness;
let options: StreamOptions;
let peers: PeerProcesses;
let sockets: Socket[];

beforeEach(() => {
  options = {};
  peers = new PeerProcesses();
  sockets = [];
  harness = new Harness(() => stream(options), "127.0.0.1", DEADLINE_MS);
});

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  peers.kill();
  await harness.stop();
  for (const recorder of harness.recorders) assert.deepEqual(recorder.breaches, []);
});

const lostBy = async (recorder: Recorder): Promise<void> => {
  await recorder.until("closed", () => recorder.closes.length > 0, DEADLINE_MS);
  assert.ok(MeshError.is(recorder.closes[0], "PEER_LOST"));
};

const echoes = async (recorder: Recorder, text: string): Promise<void> => {
  const before = recorder.received;
  recorder.connection.send(Buffer.from(text));
  await recorder.until("echo", () => recorder.received > before, DEADLINE_MS);
  assert.equal(Buffer.from(recorder.frames.at(-1) as Uint8Array).toString(), text);
};

/** A listener, and a check that it still accepts and carries frames. */
const listening = async () => {
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
};

/** A bare TCP client. */
const bareClient = (address: string): { socket: Socket; closed: Promise<unknown> } => {
  const socket = connect(Number(address.split(":").at(-1)), "127.0.0.1");
  socket.on("error", () => {});
  socket.resume();
  sockets.push(socket);
  return { socket, closed: once(socket, "close") };
};

describe("peers in other processes", () => {
  test("a listener killed with SIGKILL is noticed by the dialler", async () => {
    const { child, line } = await peers.start("listen", "tcp");
    const dialed = await harness.dial(await harness.node(), line);
    await echoes(dialed, "hello");
    child.kill("SIGKILL");
    await lostBy(dialed);
  });

  test("a dialler killed in a flood is noticed by the listener", async () => {
    const { listener, accepted } = await listening();
    const { child } = await peers.start("dial", listener.address);
    await harness.poll("accepted", () => accepted.length === 1);
    const [peer] = accepted as [Recorder];
    peer.keep = false;
    peer.connection.send(Buffer.from("flood"));
    await peer.until("flood", () => peer.received > 100, DEADLINE_MS);
    child.kill("SIGKILL");
    await lostBy(peer);
  });

  test("a close by a peer process is orderly", async () => {
    const { line } = await peers.start("listen", "tcp");
    const dialed = await harness.dial(await harness.node(), line);
    dialed.connection.send(Buffer.from("close"));
    await dialed.until("closed", () => dialed.closes.length > 0, DEADLINE_MS);
    assert.equal(dialed.closes[0], undefined);
  });

  test("a process ends by itself after stop()", async () => {
    const { child, line } = await peers.start("listen", "tcp");
    const dialed = await harness.dial(await harness.node(), line);
    const exit = once(child, "exit");
    dialed.connection.send(Buffer.from("exit"));
    assert.deepEqual(await exit, [0, null]);
    await dialed.until("closed", () => dialed.closes.length > 0, DEADLINE_MS);
    assert.equal(dialed.closes[0], undefined);
  });

  test("a stopped process that reads nothing delays no other peer and then gets all in order", async () => {
    const { listener, accepted } = await listening();
    const { child } = await peers.start("dial", listener.address);
    await harness.poll("accepted", () => accepted.length === 1);
    const slow = accepted[0] as Recorder;
    await slow.until("frame", () => slow.received === 1, DEADLINE_MS);
    child.kill("SIGSTOP");
    let sent = 0;
    while (slow.connection.bufferedBytes < 2 ** 20) {
      slow.connection.send(numbered(sent++, 65_536));
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
  });

  test("a close waits for a peer that does not read, and gives up after half a second", async () => {
    const { child, line } = await peers.start("listen", "tcp");
    const client = await harness.node();
    const dialed = await harness.dial(client, line);
    await echoes(dialed, "hello");
    child.kill("SIGSTOP");
    for (let number = 0; number < 400; number += 1) {
      dialed.connection.send(numbered(number, 65_536));
    }
    const startMs = ownClock.monotonicMs();
    await client.transport.stop();
    const tookMs = ownClock.monotonicMs() - startMs;
    assert.ok(tookMs > 400 && tookMs < 3_000, `${tookMs} ms`);
    assert.equal(client.context.counts.get("transport.discarded"), 1);
    child.kill("SIGCONT");
  });
});

describe("peers that break the rules", () => {
  for (const [what, bytes] of [
    ["HTTP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"],
    ["TLS", "\x16\x03\x01\x02\x00\x01\x00"],
    ["ZMTP", "\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL"],
  ] as const) {
    test(`${what} on the port is closed, counted, and the listener goes on`, async () => {
      const { listener, accepted, count, goesOn } = await listening();
      const { socket, closed } = bareClient(listener.address);
      socket.write(bytes, "latin1");
      await closed;
      assert.equal(count("transport.malformed"), 1);
      await lostBy(accepted[0] as Recorder);
      await goesOn();
    });
  }

  const claim = Buffer.concat([PREAMBLE, Buffer.from("7fffffff", "hex")]);

  test("a header that claims 2 GiB closes the connection, and the listener goes on", async () => {
    const { listener, accepted, count, goesOn } = await listening();
    const { socket, closed } = bareClient(listener.address);
    socket.write(claim);
    await closed;
    await lostBy(accepted[0] as Recorder);
    assert.equal(count("transport.malformed"), 1);
    await goesOn();
  });

  test("a header that claims 2 GiB takes no memory", async () => {
    const { line } = await peers.start("listen", "tcp");
    const peer = await harness.dial(await harness.node(), line);
    const taken = await memoryTaken(peer, async () => {
      const { socket, closed } = bareClient(line);
      socket.write(claim);
      await closed;
    });
    assert.ok(taken.residentMb < 64 && taken.reservedMb < 1_024, JSON.stringify(taken));
  });

  test("half a frame and a FIN is a lost peer, and none of it is handed over", async () => {
    const { listener, accepted, goesOn } = await listening();
    const { socket, closed } = bareClient(listener.address);
    socket.end(Buffer.concat([PREAMBLE, Buffer.from("00000010", "hex"), Buffer.from("half")]));
    await closed;
    const peer = accepted[0] as Recorder;
    await lostBy(peer);
    assert.equal(peer.received, 0);
    await goesOn();
  });

  test("connections beyond connectionsMax are closed and counted, and room comes back", async () => {
    options = { connectionsMax: 2 };
    const { listener, accepted, count, goesOn } = await listening();
    const held = [bareClient(listener.address), bareClient(listener.address)];
    await harness.poll("both are in", () => accepted.length === 2);
    await bareClient(listener.address).closed;
    assert.equal(count("transport.refused"), 1);
    for (const { socket } of held) socket.destroy();
    await harness.poll("both are out", () => accepted.every(({ closes }) => closes.length > 0));
    await goesOn();
  });

  test("200 sockets that say nothing do not keep others from talking", async () => {
    const { listener, accepted, goesOn } = await listening();
    for (let index = 0; index < 200; index += 1) bareClient(listener.address);
    await harness.poll("all are in", () => accepted.length === 200);
    const before = accepted.length;
    const client = await harness.node();
    const pair = await harness.connect(client, listener.address, accepted);
    assert.equal(accepted.length, before + 1);
    pair.accepted.onFrame = (bytes) => pair.accepted.connection.send(bytes);
    await echoes(pair.dialed, "through");
    accepted.splice(0, before + 1);
    await goesOn();
  });
});

test("options out of range are INVALID_OPTIONS, all at once", () => {
  assert.throws(
    () => stream({ port: 65_536, connectionsMax: 0 }),
    (error) =>
      MeshError.is(error, "INVALID_OPTIONS") &&
      error.message.includes("stream.port 65536") &&
      error.message.includes("stream.connectionsMax 0"),
  );
});
