import { describe, expect, it } from "vitest";
import { MeshError } from "../../../src/errors.ts";
import type { Connection, Transport } from "../../../src/ports/transport.ts";
import { ExitProbe } from "../../../src/runtime/link/exit-probe.ts";
import type { Link } from "../../../src/runtime/link/link.ts";
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
    { code: "", why: "it broke: its process may be ending", dials: 6 },
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
