/** What every transport over sockets must do with a peer in another process, which may be killed, or stopped where it is; and with a crowd that says nothing. */
import { strict as assert } from "node:assert";
import { once } from "node:events";
import { describe, test } from "vitest";
import { ownClock } from "../own-clock.ts";
import { DEADLINE_MS, numbered, numberOf, type Recorder } from "./transport-harness.ts";
import { echoes, leftBy, lostBy, type WireRig } from "./wire-rig.ts";

export function describeBetweenProcesses<Options extends object>(rig: WireRig<Options>): void {
  /** A peer that has dialled a listener here, as the listener has it. */
  const dialler = async () => {
    const listening = await rig.listening();
    const { child } = await rig.peers.start("dial", listening.listener.address);
    await rig.harness.poll("accepted", () => listening.accepted.length === 1);
    return { ...listening, child, peer: listening.accepted[0] as Recorder };
  };
  const listener = async () => {
    const { child, line } = await rig.peers.start("listen", rig.scheme);
    return { child, peer: await rig.dial(line) };
  };

  describe("peers in other processes", () => {
    test("a listener killed with SIGKILL is noticed by the dialler", async () => {
      const { child, peer } = await listener();
      await echoes(peer, "hello");
      child.kill("SIGKILL");
      await lostBy(peer);
    });

    test("a dialler killed with SIGKILL is noticed by the listener", async () => {
      const { child, peer } = await dialler();
      await peer.until("frame", () => peer.received === 1, DEADLINE_MS);
      child.kill("SIGKILL");
      await lostBy(peer);
    });

    test("a dialler killed in a flood is noticed by the listener", async () => {
      const { child, peer } = await dialler();
      peer.keep = false;
      peer.connection.send(Buffer.from("flood"));
      await peer.until("flood", () => peer.received > 100, DEADLINE_MS);
      child.kill("SIGKILL");
      await lostBy(peer);
    });

    test("a close by a peer process is orderly", async () => {
      const { peer } = await listener();
      peer.connection.send(Buffer.from("close"));
      await leftBy(peer);
    });

    test.each([
      ["listens", listener],
      ["dials", dialler],
    ])("a process that %s ends by itself after stop()", async (_, start) => {
      const { child, peer } = await start();
      const exit = once(child, "exit");
      peer.connection.send(Buffer.from("exit"));
      assert.deepEqual(await exit, [0, null]);
      await leftBy(peer);
    });

    test("a stopped process that reads nothing delays no other peer and then gets all in order", async () => {
      const { child, peer: slow, ...listening } = await dialler();
      await slow.until("frame", () => slow.received === 1, DEADLINE_MS);
      child.kill("SIGSTOP");
      let sent = 0;
      while (slow.connection.bufferedBytes < 2 ** 20) {
        slow.connection.send(numbered(sent++, 65_536));
        await new Promise((resolve) => setImmediate(resolve));
      }
      const { accepted } = listening;
      const client = await rig.harness.node();
      const quick = await rig.harness.connect(client, listening.listener.address, accepted);
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
      const { child, line } = await rig.peers.start("listen", rig.scheme);
      const client = await rig.harness.node();
      const dialed = await rig.harness.dial(client, line);
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

  test("200 sockets that say nothing do not keep others from talking", async () => {
    const { listener, accepted } = await rig.listening();
    const sockets = Array.from({ length: 200 }, () => rig.bareClient(listener.address).socket);
    await Promise.all(sockets.map((socket) => once(socket, "connect")));
    const dialed = await rig.dial(listener.address);
    dialed.connection.send(numbered(1, 10));
    const heard = (): Recorder | undefined => accepted.find(({ received }) => received > 0);
    await rig.harness.poll("it is heard", () => heard() !== undefined);
    const peer = heard() as Recorder;
    peer.onFrame = (bytes) => peer.connection.send(bytes);
    await echoes(dialed, "through");
  });
}
