/**
 * What every transport must do: a list of cases, run by vitest for each real transport and by a plain
 * loop for the deliberately broken ones, which shows that the list can fail.
 */
import { strict as assert } from "node:assert";
import { MeshError } from "../../src/errors.ts";
import type { Connection } from "../../src/ports/transport.ts";
import { ownClock } from "../own-clock.ts";
import {
  FRAME_BYTES_MAX,
  type Harness,
  numbered,
  numberOf,
  Recorder,
  sendMany,
} from "./transport-harness.ts";

/** What a transport has, which decides the cases that run. */
export type Features = {
  /** A host to listen on. */
  readonly host: string;
  /** A well-formed address where nobody listens. */
  readonly nowhere: string;
  /** Addresses that are not of the transport's form. */
  readonly badAddresses: readonly string[];
  /** Hosts that cannot be bound. */
  readonly badHosts: readonly string[];
};

export type Case = {
  readonly title: string;
  run(harness: Harness, features: Features): Promise<void>;
};

const code = (error: unknown) => (MeshError.is(error) ? error.code : error);

async function closesOnce(harness: Harness, recorder: Recorder): Promise<MeshError | undefined> {
  await recorder.until("closed", () => recorder.closes.length > 0, harness.deadlineMs);
  return recorder.closes[0];
}

function isSequence(frames: readonly Uint8Array[], count: number): void {
  assert.equal(frames.length, count);
  frames.forEach((frame, index) => {
    assert.equal(numberOf(frame), index, "frames are in order");
    assert.equal(frame.at(-1), index & 0xff, "a frame's bytes are its own");
  });
}

const frames: readonly Case[] = [
  {
    title:
      "sends frames in two parts, of which one goes to several connections, where it can at all",
    async run(harness) {
      const pairs = [await harness.pair(), await harness.pair()];
      const whole = (number: number): Buffer => Buffer.from(numbered(number, 5 + number * 40));
      for (let number = 0; number < 300; number += 1) {
        const frame = whole(number);
        const body = frame.subarray(4);
        for (const { dialed } of pairs) {
          const { connection } = dialed;
          if (connection.sendParts === undefined || number % 3 === 0) connection.send(frame);
          else connection.sendParts([Buffer.from(frame.subarray(0, 4)), body]);
        }
      }
      for (const { accepted } of pairs) {
        await accepted.until("all", () => accepted.received >= 300, harness.deadlineMs);
        isSequence(accepted.frames, 300);
        accepted.frames.forEach((frame, number) => {
          assert.deepEqual(Buffer.from(frame), whole(number));
        });
      }
    },
  },
  {
    title: "sends a copy of parts that are changed at once, where it can at all",
    async run(harness) {
      const { dialed, accepted } = await harness.pair();
      const { connection } = dialed;
      const sizeOf = (number: number): number => 5 + ((number * 7_919) % 90_000);
      const scratch = Buffer.alloc(100_000);
      for (let number = 0; number < 200; number += 1) {
        const frame = Buffer.from(numbered(number, sizeOf(number)));
        if (connection.sendCopy === undefined || number % 5 === 0) {
          connection.send(frame);
          continue;
        }
        const part = scratch.subarray(0, frame.copy(scratch, 0, 4));
        connection.sendCopy([frame.subarray(0, 4), part]);
        scratch.fill(0xee);
        // Some leave turn by turn, from rooms that others had; some wait for the same socket.
        if (number % 7 === 0)
          await accepted.until("it", () => accepted.received > number, harness.deadlineMs);
      }
      await accepted.until("all", () => accepted.received >= 200, harness.deadlineMs);
      isSequence(accepted.frames, 200);
      accepted.frames.forEach((frame, number) => {
        assert.deepEqual(Buffer.from(frame), Buffer.from(numbered(number, sizeOf(number))));
      });
    },
  },
  {
    title: "delivers frames in order, in both directions, with their bytes intact",
    async run(harness) {
      const { dialed, accepted } = await harness.pair();
      for (let number = 0; number < 2_000; number += 1) {
        dialed.connection.send(numbered(number, 5 + (number % 700)));
        accepted.connection.send(numbered(number, 5 + (number % 300)));
      }
      await accepted.until("all", () => accepted.received >= 2_000, harness.deadlineMs);
      await dialed.until("all", () => dialed.received >= 2_000, harness.deadlineMs);
      isSequence(accepted.frames, 2_000);
      isSequence(dialed.frames, 2_000);
    },
  },
  {
    title: "keeps the boundaries of frames of 1 B to frameBytesMax",
    async run(harness) {
      const { dialed, accepted } = await harness.pair();
      const sizes = [1, 2, 127, 128, 129, 255, 256, 4095, 65_535, 65_536, FRAME_BYTES_MAX];
      for (const [from, to] of [
        [dialed, accepted],
        [accepted, dialed],
      ] as const) {
        for (const [index, size] of sizes.entries()) {
          from.connection.send(numbered(index + 1, size));
        }
        await to.until("all", () => to.received >= sizes.length, harness.deadlineMs);
        assert.deepEqual(
          to.frames.map((frame) => frame.length),
          sizes,
        );
        to.frames.forEach((frame, index) => {
          assert.deepEqual(Buffer.from(frame), Buffer.from(numbered(index + 1, frame.length)));
        });
      }
    },
  },
  {
    title: "hands frames over after the turn of their send, never inside it",
    async run(harness) {
      const { dialed, accepted } = await harness.pair();
      dialed.connection.send(numbered(0, 8));
      assert.equal(accepted.received, 0);
      await accepted.until("frame", () => accepted.received === 1, harness.deadlineMs);
    },
  },
  ...(["dialler", "acceptor"] as const).map(
    (sender): Case => ({
      title: `carries 100,000 frames from the ${sender} that honours bufferedBytes`,
      async run(harness) {
        const { dialed, accepted } = await harness.pair();
        const [from, to] = sender === "dialler" ? [dialed, accepted] : [accepted, dialed];
        let next = 0;
        to.keep = false;
        to.onFrame = (frame) => {
          assert.equal(numberOf(frame), next);
          next += 1;
        };
        await sendMany(from, 100_000, 100, harness.deadlineMs);
        await to.until("all", () => to.received >= 100_000, harness.deadlineMs);
        assert.equal(next, 100_000);
      },
    }),
  ),
  {
    title: "carries 64 KiB frames both ways at once with back-pressure",
    async run(harness) {
      const { dialed, accepted } = await harness.pair();
      let dialedNext = 0;
      let acceptedNext = 0;
      dialed.keep = accepted.keep = false;
      dialed.onFrame = (frame) => assert.equal(numberOf(frame), dialedNext++);
      accepted.onFrame = (frame) => assert.equal(numberOf(frame), acceptedNext++);
      await Promise.all([
        sendMany(dialed, 1_500, 65_536, harness.deadlineMs),
        sendMany(accepted, 1_500, 65_536, harness.deadlineMs),
      ]);
      await accepted.until("all", () => accepted.received >= 1_500, harness.deadlineMs);
      await dialed.until("all", () => dialed.received >= 1_500, harness.deadlineMs);
    },
  },
  {
    title: "says drained once the bytes it buffered are taken",
    async run(harness) {
      const { dialed } = await harness.pair();
      for (let number = 0; number < 50; number += 1)
        dialed.connection.send(numbered(number, 1_000));
      assert.ok(dialed.connection.bufferedBytes > 0);
      await dialed.until("drained", () => dialed.drains > 0, harness.deadlineMs);
      assert.equal(dialed.connection.bufferedBytes, 0);
      assert.equal(dialed.drains, 1);
    },
  },
  {
    title: "keeps 50 connections apart",
    async run(harness) {
      const server = await harness.node();
      const { listener, accepted } = await harness.listen(server);
      const client = await harness.node();
      const dialed = await Promise.all(
        Array.from({ length: 50 }, () => harness.dial(client, listener.address)),
      );
      await harness.poll("all are accepted", () => accepted.length === 50);
      for (const peer of accepted) peer.onFrame = (frame) => peer.connection.send(frame);
      for (let round = 0; round < 20; round += 1) {
        dialed.forEach((peer, index) => {
          peer.connection.send(numbered(index * 1000 + round, 64));
        });
      }
      for (const [index, peer] of dialed.entries()) {
        await peer.until("echoes", () => peer.received >= 20, harness.deadlineMs);
        const numbers = peer.frames.map((frame) => numberOf(frame));
        assert.deepEqual(
          numbers,
          Array.from({ length: 20 }, (_, round) => index * 1000 + round),
        );
      }
    },
  },
];

const closing: readonly Case[] = [
  ...(["dialler", "acceptor"] as const).map(
    (closer): Case => ({
      title: `a close by the ${closer} delivers what was sent before and closes both sides once, in order`,
      async run(harness) {
        const { dialed, accepted } = await harness.pair();
        const [near, far] = closer === "dialler" ? [dialed, accepted] : [accepted, dialed];
        for (let number = 0; number < 3_000; number += 1) {
          near.connection.send(numbered(number, 200));
        }
        near.connection.close();
        near.connection.close();
        assert.equal(near.closes.length, 0, "closed is not reported inside close()");
        assert.equal(await closesOnce(harness, near), undefined);
        assert.equal(await closesOnce(harness, far), undefined);
        isSequence(far.frames, 3_000);
      },
    }),
  ),
  {
    title: "a close while the peer sends loses nothing of the closing side",
    async run(harness) {
      const { dialed, accepted } = await harness.pair();
      for (let number = 0; number < 500; number += 1) {
        dialed.connection.send(numbered(number, 20_000));
        accepted.connection.send(numbered(number, 20_000));
      }
      dialed.connection.close();
      assert.equal(await closesOnce(harness, accepted), undefined);
      isSequence(accepted.frames, 500);
      assert.equal(dialed.received, 0);
    },
  },
  {
    title: "both sides may close at the same time",
    async run(harness) {
      const { dialed, accepted } = await harness.pair();
      dialed.connection.close();
      accepted.connection.close();
      assert.equal(await closesOnce(harness, dialed), undefined);
      assert.equal(await closesOnce(harness, accepted), undefined);
    },
  },
  {
    title: "discards what is sent after close or closed, without an error",
    async run(harness) {
      const { dialed, accepted } = await harness.pair();
      dialed.connection.send(numbered(0, 10));
      dialed.connection.close();
      dialed.connection.send(numbered(1, 10));
      accepted.onFrame = () => accepted.connection.send(numbered(7, 10));
      await closesOnce(harness, dialed);
      await closesOnce(harness, accepted);
      dialed.connection.send(numbered(2, 10));
      accepted.connection.send(numbered(3, 10));
      isSequence(accepted.frames, 1);
      assert.equal(dialed.received, 0);
      assert.equal(dialed.connection.bufferedBytes, 0);
      assert.equal(accepted.connection.bufferedBytes, 0);
    },
  },
  {
    title: "refuses to send an empty frame: the connection closes with INVALID_OPTIONS",
    async run(harness) {
      const { dialed, accepted } = await harness.pair();
      dialed.connection.send(numbered(0, 10));
      dialed.connection.send(new Uint8Array(0));
      assert.equal(code(await closesOnce(harness, dialed)), "INVALID_OPTIONS");
      assert.equal(await closesOnce(harness, accepted), undefined);
      isSequence(accepted.frames, 1);
    },
  },
  {
    title: "refuses to send more than frameBytesMax: the connection closes with PAYLOAD_TOO_LARGE",
    async run(harness) {
      const { dialed, accepted } = await harness.pair(1_000);
      accepted.connection.send(numbered(0, 1_000));
      dialed.connection.send(new Uint8Array(1_001));
      assert.equal(code(await closesOnce(harness, dialed)), "PAYLOAD_TOO_LARGE");
      await closesOnce(harness, accepted);
      assert.equal(accepted.received, 0);
    },
  },
  {
    title: "a peer's frame above frameBytesMax closes that connection only",
    async run(harness) {
      const server = await harness.node(10_000);
      const { listener, accepted } = await harness.listen(server);
      const client = await harness.node();
      const good = await harness.connect(client, listener.address, accepted);
      const bad = await harness.connect(client, listener.address, accepted);
      bad.dialed.connection.send(new Uint8Array(FRAME_BYTES_MAX));
      assert.equal(code(await closesOnce(harness, bad.accepted)), "PEER_LOST");
      await closesOnce(harness, bad.dialed);
      assert.equal(bad.accepted.received, 0);
      good.dialed.connection.send(numbered(0, 10_000));
      await good.accepted.until("frame", () => good.accepted.received === 1, harness.deadlineMs);
      await harness.connect(client, listener.address, accepted);
    },
  },
  {
    title: "a receiver that throws closes its own connection only",
    async run(harness) {
      const server = await harness.node();
      const { listener, accepted } = await harness.listen(server);
      const client = await harness.node();
      const good = await harness.connect(client, listener.address, accepted);
      const bad = await harness.connect(client, listener.address, accepted);
      bad.accepted.onFrame = () => {
        throw new Error("a bug above");
      };
      bad.dialed.connection.send(numbered(0, 10));
      assert.equal(code(await closesOnce(harness, bad.accepted)), "PEER_LOST");
      assert.equal(await closesOnce(harness, bad.dialed), undefined);
      good.dialed.connection.send(numbered(0, 10));
      await good.accepted.until("frame", () => good.accepted.received === 1, harness.deadlineMs);
    },
  },
];

const addresses: readonly Case[] = [
  {
    title: "a dial to nobody fails with PEER_LOST within its time",
    async run(harness, { nowhere }) {
      const { transport } = await harness.node();
      const startMs = ownClock.monotonicMs();
      const dial = transport.dial(nowhere, { timeoutMs: 300 });
      assert.equal(code(await dial.catch((error: unknown) => error)), "PEER_LOST");
      assert.ok(ownClock.monotonicMs() - startMs < 1_000);
    },
  },
  {
    title: "a dial stops with ABORTED when its signal fires",
    async run(harness, { nowhere }) {
      const { transport } = await harness.node();
      const dial = (signal: AbortSignal) =>
        transport.dial(nowhere, { timeoutMs: 5_000, signal }).catch((error: unknown) => error);
      assert.equal(code(await dial(AbortSignal.abort())), "ABORTED");
      const later = new AbortController();
      const dialing = dial(later.signal);
      later.abort();
      assert.equal(code(await dialing), "ABORTED");
    },
  },
  {
    title: "addresses and hosts that make no sense are INVALID_OPTIONS",
    async run(harness, { badAddresses, badHosts, host }) {
      const { transport } = await harness.node();
      for (const address of badAddresses) {
        const error = await transport.dial(address, { timeoutMs: 100 }).catch((e: unknown) => e);
        assert.equal(code(error), "INVALID_OPTIONS", address);
      }
      const listens = badHosts.map((bad) => ({ host: bad, port: 0 }));
      if (badHosts.length > 0) listens.push({ host, port: 65_536 });
      for (const options of listens) {
        const error = await transport.listen(options, () => {}).catch((e: unknown) => e);
        assert.equal(code(error), "INVALID_OPTIONS", options.host);
      }
    },
  },
  {
    title: "a taken address is ADDRESS_IN_USE",
    async run(harness) {
      const { listener } = await harness.listen(await harness.node());
      const error = await harness.listenAt(listener.address).catch((e: unknown) => e);
      assert.equal(code(error), "ADDRESS_IN_USE");
    },
  },
  {
    title: "a closed listener has closed what it accepted and freed its address",
    async run(harness) {
      const server = await harness.node();
      const first = await harness.listen(server);
      const client = await harness.node();
      const pair = await harness.connect(client, first.listener.address, first.accepted);
      await first.listener.close();
      await first.listener.close();
      assert.equal(await closesOnce(harness, pair.dialed), undefined);
      assert.equal(await closesOnce(harness, pair.accepted), undefined);
      const second = await harness.listenAt(first.listener.address);
      assert.equal(second.listener.address, first.listener.address);
      await harness.connect(client, second.listener.address, second.accepted);
    },
  },
  {
    title: "a connection never reaches the peer that took over its address",
    async run(harness) {
      const client = await harness.node();
      let address: string | undefined;
      let old: Recorder | undefined;
      for (let life = 0; life < 5; life += 1) {
        const { server, listener, accepted } = await harness.listenAt(address);
        address = listener.address;
        old?.connection.send(numbered(666, 10));
        const { dialed, accepted: peer } = await harness.connect(
          client,
          listener.address,
          accepted,
        );
        old?.connection.send(numbered(666, 10));
        dialed.connection.send(numbered(life, 10));
        await peer.until("frame", () => peer.received > 0, harness.deadlineMs);
        assert.deepEqual(peer.frames.map(numberOf), [life]);
        assert.equal(accepted.length, 1);
        old = dialed;
        await server.transport.stop();
        await closesOnce(harness, dialed);
      }
    },
  },
];

const stopping: readonly Case[] = [
  ...(["dialler", "acceptor"] as const).map(
    (stopper): Case => ({
      title: `a ${stopper} that stops while both sides are busy closes each connection once`,
      async run(harness) {
        const server = await harness.node();
        const { listener, accepted } = await harness.listen(server);
        const client = await harness.node();
        const flood = (connection: Connection) => {
          for (let number = 0; number < 400; number += 1) connection.send(numbered(number, 5_000));
        };
        for (let index = 0; index < 5; index += 1) {
          const pair = await harness.connect(client, listener.address, accepted);
          flood(pair.dialed.connection);
          flood(pair.accepted.connection);
        }
        const startMs = ownClock.monotonicMs();
        await (stopper === "dialler" ? client : server).transport.stop();
        assert.ok(ownClock.monotonicMs() - startMs < 3_000);
        for (const recorder of harness.recorders) await closesOnce(harness, recorder);
      },
    }),
  ),
  {
    title: "a stopped transport refuses with STOPPED, and stops twice",
    async run(harness) {
      const { transport } = await harness.node();
      const { listener } = await harness.listen(await harness.node());
      const dialing = transport
        .dial(listener.address, { timeoutMs: 5_000 })
        .then((connection) => new Recorder(connection).until("closed", () => false, 1))
        .catch((error: unknown) => error);
      await Promise.all([transport.stop(), transport.stop()]);
      await dialing;
      const dial = await transport
        .dial(listener.address, { timeoutMs: 100 })
        .catch((error: unknown) => error);
      const listen = await transport
        .listen({ host: harness.host, port: 0 }, () => {})
        .catch((error: unknown) => error);
      assert.deepEqual([code(dial), code(listen)], ["STOPPED", "STOPPED"]);
    },
  },
];

export const TRANSPORT_CASES: readonly Case[] = [...frames, ...closing, ...addresses, ...stopping];

/** Runs one case and then looks for breaches that came late. */
export async function runCase(one: Case, harness: Harness, features: Features): Promise<void> {
  try {
    await one.run(harness, features);
  } finally {
    await harness.stop();
  }
  await new Promise((resolve) => setImmediate(resolve));
  for (const recorder of harness.recorders) {
    await closesOnce(harness, recorder); // a stopped transport has closed every connection
    assert.deepEqual(recorder.breaches, []);
    assert.equal(recorder.closes.length, 1);
  }
}
