import { strict as assert } from "node:assert";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { MeshError } from "../../../src/errors.ts";
import type { Connection, Transport } from "../../../src/ports/transport.ts";
import { ExitProbe } from "../../../src/runtime/link/exit-probe.ts";
import type { Link } from "../../../src/runtime/link/link.ts";
import { stream } from "../../../src/transport/stream/stream-transport.ts";
import { VirtualClock } from "../../mesh/virtual-clock.ts";

const ADDRESS = "tcp://10.0.0.1:7000";
const link = { dialled: true, address: ADDRESS, peer: { nodeId: "n", addresses: [] } };
const taken = { open: () => {}, close: () => {} } as unknown as Connection;

/** What is asked of the peer's host in the first second after the link has ended, and what comes of it. */
const looksAfter = async (code: string, isListening: boolean) => {
  const clock = new VirtualClock();
  let dials = 0;
  const gone: string[] = [];
  const transport = {
    scheme: "tcp",
    dial: async () => {
      dials++;
      if (isListening) return taken;
      throw new MeshError("PEER_LOST", "refused", { details: { refused: true } });
    },
  } as unknown as Transport;
  const probe = new ExitProbe(
    clock,
    [transport],
    () => true,
    (nodeId) => void gone.push(nodeId),
  );
  probe.look(link as unknown as Link, code);
  await clock.advance(1_000);
  return { dials, gone };
};

describe("a link that has ended", () => {
  it.each([
    { code: "", why: "it broke: its process may be ending", dials: 1 },
    { code: "TIMEOUT", why: "it was silent: its process may have ended", dials: 1 },
    { code: "CLOSED", why: "its peer closed it in order: its process lives", dials: 0 },
    { code: "DUPLICATE_LINK", why: "a word was said: its process lives", dials: 0 },
  ])("is looked after $dials times where somebody listens: $why", async ({ code, dials }) => {
    expect(await looksAfter(code, true)).toEqual({ dials, gone: [] });
  });

  it.each(["", "TIMEOUT"])("tells of an end at the first refusal: %j", async (code) => {
    expect(await looksAfter(code, false)).toEqual({ dials: 1, gone: ["n"] });
  });
});

describe("over real sockets, where timers fire only when the test lets time pass, the probe", () => {
  const WAIT = { timeout: 60_000, interval: 1 };

  let clock: VirtualClock;
  let transport: Transport;
  let server: Server;
  let taken: Socket[];
  let gone: string[];

  beforeEach(async () => {
    clock = new VirtualClock();
    taken = [];
    gone = [];
    server = createServer((socket) => {
      socket.on("error", () => {});
      taken.push(socket.resume());
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    transport = stream();
    const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
    await transport.start({ clock, logger, frameBytesMax: 1_024, count: () => {} });
    const probe = new ExitProbe(
      clock,
      [transport],
      () => true,
      (nodeId) => void gone.push(nodeId),
    );
    const { port } = server.address() as AddressInfo;
    const here = { ...link, address: `tcp://127.0.0.1:${port}` };
    probe.look(here as unknown as Link, "");
  });

  afterEach(async () => {
    for (const socket of taken) socket.destroy();
    server.close();
    await transport.stop();
  });

  it("hears of the end of a process from the connection that its listener broke", async () => {
    await vi.waitFor(() => assert.equal(taken.length, 1), WAIT);
    server.close();
    taken[0]?.resetAndDestroy();
    await vi.waitFor(() => expect(gone).toEqual(["n"]), WAIT);
  });

  it("gives one connection to a process that lives, and ends it", async () => {
    await vi.waitFor(() => assert.equal(taken.length, 1), WAIT);
    const ended = once(taken[0] as Socket, "close");
    await clock.advance(1_000);
    await ended;
    await clock.advance(1_000);
    expect(taken).toHaveLength(1);
    expect(gone).toEqual([]);
  });
});
