/** What only the stream transport can show: peers in other processes, and peers that break the rules. */
import { strict as assert } from "node:assert";
import { describe, test } from "vitest";
import { MeshError } from "../../../src/errors.ts";
import { PREAMBLE } from "../../../src/transport/stream/frame-reader.ts";
import { type StreamOptions, stream } from "../../../src/transport/stream/stream-transport.ts";
import { describeBetweenProcesses } from "../between-processes.ts";
import { memoryTaken } from "../peer-process.ts";
import type { Recorder } from "../transport-harness.ts";
import { lostBy, WireRig } from "../wire-rig.ts";

const rig = new WireRig<StreamOptions>("tcp", stream);

describeBetweenProcesses(rig);

describe("peers that break the rules", () => {
  for (const [what, bytes] of [
    ["HTTP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"],
    ["TLS", "\x16\x03\x01\x02\x00\x01\x00"],
    ["ZMTP", "\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL"],
  ] as const) {
    test(`${what} on the port is closed, counted, and the listener goes on`, async () => {
      const { listener, accepted, count, goesOn } = await rig.listening();
      const { socket, closed } = rig.bareClient(listener.address);
      socket.write(bytes, "latin1");
      await closed;
      assert.equal(count("transport.malformed"), 1);
      await lostBy(accepted[0] as Recorder);
      await goesOn();
    });
  }

  const claim = Buffer.concat([PREAMBLE, Buffer.from("7fffffff", "hex")]);

  test("a header that claims 2 GiB closes the connection, and the listener goes on", async () => {
    const { listener, accepted, count, goesOn } = await rig.listening();
    const { socket, closed } = rig.bareClient(listener.address);
    socket.write(claim);
    await closed;
    await lostBy(accepted[0] as Recorder);
    assert.equal(count("transport.malformed"), 1);
    await goesOn();
  });

  test("a header that claims 2 GiB takes no memory", async () => {
    const { line } = await rig.peers.start("listen", "tcp");
    const peer = await rig.dial(line);
    const taken = await memoryTaken(peer, async () => {
      const { socket, closed } = rig.bareClient(line);
      socket.write(claim);
      await closed;
    });
    assert.ok(taken.residentMb < 64 && taken.reservedMb < 1_024, JSON.stringify(taken));
  });

  test("half a frame and a FIN is a lost peer, and none of it is handed over", async () => {
    const { listener, accepted, goesOn } = await rig.listening();
    const { socket, closed } = rig.bareClient(listener.address);
    socket.end(Buffer.concat([PREAMBLE, Buffer.from("00000010", "hex"), Buffer.from("half")]));
    await closed;
    const peer = accepted[0] as Recorder;
    await lostBy(peer);
    assert.equal(peer.received, 0);
    await goesOn();
  });

  test("connections beyond connectionsMax are closed and counted, and room comes back", async () => {
    rig.options = { connectionsMax: 2 };
    const { listener, accepted, count, goesOn } = await rig.listening();
    const held = [rig.bareClient(listener.address), rig.bareClient(listener.address)];
    await rig.harness.poll("both are in", () => accepted.length === 2);
    await rig.bareClient(listener.address).closed;
    assert.equal(count("transport.refused"), 1);
    for (const { socket } of held) socket.destroy();
    await rig.harness.poll("both are out", () => accepted.every(({ closes }) => closes.length > 0));
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
