/** The contract suite is worth something only if it fails on transports that break the contract. */
import { expect, test } from "vitest";
import type { Connection, ConnectionEvents, Transport } from "../../src/ports/transport.ts";
import { MemoryNetwork, memoryTransport } from "../../src/transport/memory/memory-transport.ts";
import { type Features, runCase, TRANSPORT_CASES } from "./transport-contract.ts";
import { Harness } from "./transport-harness.ts";

const features: Features = {
  host: "local",
  nowhere: "mem://local:1",
  badAddresses: ["mem://local"],
  badHosts: [""],
};

type Wrap = (connection: Connection) => Connection;

/** A memory transport whose connections are replaced by `wrap`. */
function broken(network: MemoryNetwork, wrap: Wrap): Transport {
  const inner = memoryTransport(network);
  return {
    scheme: inner.scheme,
    preference: inner.preference,
    start: (context) => inner.start(context),
    listen: (options, accept) => inner.listen(options, (connection) => accept(wrap(connection))),
    dial: async (address, options) => wrap(await inner.dial(address, options)),
    stop: () => inner.stop(),
  };
}

function changed(
  inner: Connection,
  change: {
    send?: (frame: Uint8Array) => void;
    open?: (events: ConnectionEvents) => ConnectionEvents;
    close?: () => void;
  },
): Connection {
  return {
    remote: inner.remote,
    get bufferedBytes() {
      return inner.bufferedBytes;
    },
    send: change.send ?? ((frame) => inner.send(frame)),
    close: change.close ?? (() => inner.close()),
    open: (events) => inner.open(change.open?.(events) ?? events),
  };
}

const forward = (events: ConnectionEvents): ConnectionEvents => ({
  frame: (bytes) => events.frame(bytes),
  drained: () => events.drained(),
  closed: (reason) => (reason === undefined ? events.closed() : events.closed(reason)),
});

const mutants: Record<string, { wrap: Wrap; caughtBy: RegExp }> = {
  "swaps every tenth frame with its follower": {
    caughtBy: /^delivers frames in order/,
    wrap: (inner) => {
      let count = 0;
      let held: Uint8Array | undefined;
      const frame = (events: ConnectionEvents, bytes: Uint8Array) => {
        count += 1;
        if (held === undefined && count % 10 === 0) {
          held = bytes;
          return;
        }
        events.frame(bytes);
        if (held !== undefined) events.frame(held);
        held = undefined;
      };
      return changed(inner, {
        open: (events) => ({ ...forward(events), frame: (bytes) => frame(events, bytes) }),
      });
    },
  },
  "drops frames silently above a high-water mark": {
    caughtBy: /^carries 100,000 frames/,
    wrap: (inner) =>
      changed(inner, {
        send: (frame) => {
          if (inner.bufferedBytes < 200_000) inner.send(frame);
        },
      }),
  },
  "reports closed twice": {
    caughtBy: /closes both sides once/,
    wrap: (inner) =>
      changed(inner, {
        open: (events) => ({
          ...forward(events),
          closed: (reason) => {
            forward(events).closed(reason);
            forward(events).closed(reason);
          },
        }),
      }),
  },
  "joins frames that were sent in one turn": {
    caughtBy: /^keeps the boundaries/,
    wrap: (inner) => {
      let waiting: Uint8Array[] = [];
      const flush = () => {
        const joined = Buffer.concat(waiting);
        waiting = [];
        inner.send(joined);
      };
      return changed(inner, {
        send: (frame) => {
          if (waiting.push(frame) === 1) queueMicrotask(flush);
        },
      });
    },
  },
  "loses what was sent just before a close": {
    caughtBy: /^a close by the dialler delivers/,
    wrap: (inner) => {
      let closing = false;
      return changed(inner, {
        send: (frame) => queueMicrotask(() => closing || inner.send(frame)),
        close: () => {
          closing = true;
          inner.close();
        },
      });
    },
  },
  "reuses its receive buffer": {
    caughtBy: /^delivers frames in order/,
    wrap: (inner) => {
      const buffer = new Uint8Array(1 << 20);
      return changed(inner, {
        open: (events) => ({
          ...forward(events),
          frame: (bytes) => {
            buffer.set(bytes);
            events.frame(buffer.subarray(0, bytes.length));
          },
        }),
      });
    },
  },
};

for (const [name, { wrap, caughtBy }] of Object.entries(mutants)) {
  test(`the contract suite catches a transport that ${name}`, async () => {
    const failed: string[] = [];
    const cases = TRANSPORT_CASES.filter((one) => caughtBy.test(one.title));
    for (const one of cases) {
      const network = new MemoryNetwork();
      const harness = new Harness(() => broken(network, wrap), "local", 700);
      await runCase(one, harness, features).catch(() => failed.push(one.title));
    }
    expect(cases.length).toBeGreaterThan(0);
    expect(failed).toEqual(cases.map((one) => one.title));
  });
}

test("the same cases pass through the wrapper when it changes nothing", async () => {
  for (const one of TRANSPORT_CASES) {
    const network = new MemoryNetwork();
    const harness = new Harness(() => broken(network, (c) => changed(c, {})), "local", 10_000);
    await runCase(one, harness, features);
  }
});
