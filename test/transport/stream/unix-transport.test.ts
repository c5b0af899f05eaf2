/** What is particular to socket files: whose they are, and what becomes of them. */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MeshError } from "../../../src/errors.ts";
import { hostIdentity } from "../../../src/transport/stream/host-identity.ts";
import { unix } from "../../../src/transport/stream/unix-transport.ts";
import { PeerProcesses } from "../peer-process.ts";
import { DEADLINE_MS, FRAME_BYTES_MAX, Harness, numbered } from "../transport-harness.ts";

let folder: string;
let harness: Harness;
let peers: PeerProcesses;
const runBefore = process.env.XDG_RUNTIME_DIR;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mb-unix-"));
  process.env.XDG_RUNTIME_DIR = folder;
  harness = new Harness(() => unix(), "127.0.0.1", DEADLINE_MS);
  peers = new PeerProcesses();
});
afterEach(async () => {
  await harness.stop();
  peers.kill();
  if (runBefore === undefined) delete process.env.XDG_RUNTIME_DIR;
  else process.env.XDG_RUNTIME_DIR = runBefore;
  rmSync(folder, { recursive: true, force: true });
});

const pathOf = (address: string): string => address.replace(/^unix:\/\/|\?.*$/g, "");
const modeOf = (path: string): number => lstatSync(path).mode & 0o777;
const listenAt = async (path: string) => {
  const own = new Harness(() => unix({ path }), "127.0.0.1", DEADLINE_MS);
  try {
    return (await own.listen(await own.node())).listener.address;
  } finally {
    await own.stop();
  }
};
const codeOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "done",
    (error: unknown) => (MeshError.is(error) ? error.code : String(error)),
  );

describe("a socket file", () => {
  it("in a folder that others may write is not dialled", async () => {
    const open = join(folder, "open");
    mkdirSync(open);
    const own = new Harness(() => unix({ path: join(open, "a.sock") }), "127.0.0.1", DEADLINE_MS);
    try {
      const { listener, accepted } = await own.listen(await own.node());
      const client = await own.node();
      chmodSync(open, 0o777);
      expect(await codeOf(own.dial(client, listener.address))).toBe("UNAUTHORIZED");
      chmodSync(open, 0o1777); // nobody can replace what is another's there
      await own.connect(client, listener.address, accepted);
    } finally {
      await own.stop();
    }
  });

  it("lies in a folder of this user alone, is closed to others, and goes with its listener", async () => {
    const { listener } = await harness.listen(await harness.node());
    const path = pathOf(listener.address);
    expect(dirname(path)).toBe(join(folder, "meshbus"));
    expect([modeOf(path), modeOf(dirname(path))]).toEqual([0o600, 0o700]);
    await listener.close();
    expect(existsSync(path)).toBe(false);
  });

  it("is not made where others may write", async () => {
    mkdirSync(join(folder, "meshbus"));
    chmodSync(join(folder, "meshbus"), 0o770);
    const node = await harness.node();
    expect(await codeOf(harness.listen(node))).toBe("INVALID_OPTIONS");
    rmSync(join(folder, "meshbus"), { recursive: true });
    symlinkSync(folder, join(folder, "meshbus"));
    expect(await codeOf(harness.listen(node))).toBe("INVALID_OPTIONS");
  });

  it("of a process that was killed is replaced", async () => {
    const { child, line } = await peers.start("listen", "unix:");
    const path = pathOf(line);
    child.kill("SIGKILL");
    await harness.poll("it has ended", () => child.signalCode !== null);
    expect(existsSync(path)).toBe(true);
    expect(await listenAt(path)).toBe(line);
  });

  it("of a process that was killed goes when another listens in the folder", async () => {
    const { child, line } = await peers.start("listen", "unix:");
    const { line: living } = await peers.start("listen", "unix:");
    child.kill("SIGKILL");
    await harness.poll("it has ended", () => child.signalCode !== null);
    const { listener } = await harness.listen(await harness.node());
    expect(existsSync(pathOf(line))).toBe(false);
    expect([existsSync(pathOf(living)), existsSync(pathOf(listener.address))]).toEqual([
      true,
      true,
    ]);
    const dialed = await harness.dial(await harness.node(), living);
    dialed.connection.send(numbered(7, 10));
    await dialed.until("an echo", () => dialed.received === 1, DEADLINE_MS);
  });

  it("of a living process is never taken", async () => {
    const { line } = await peers.start("listen", "unix:");
    expect(await codeOf(listenAt(pathOf(line)))).toBe("ADDRESS_IN_USE");
    await harness.dial(await harness.node(), line);
  });

  it("that is none stays as it is", async () => {
    const path = join(folder, "a-file");
    writeFileSync(path, "important");
    expect(await codeOf(listenAt(path))).toBe("ADDRESS_IN_USE");
    expect(readdirSync(folder)).toContain("a-file");
  });

  it("has a path that the system takes, or the option says what is wrong", () => {
    const at = (path: string) => () => unix({ path });
    expect(at(`/${"x".repeat(200)}`)).toThrow(/has 201 B, the system takes 10/);
    expect(at("relative.sock")).toThrow(/not absolute/);
    expect(at("/a?b")).toThrow(/not absolute/);
    expect(() => unix({ connectionsMax: 0 })).toThrow(/connectionsMax 0/);
  });
});

describe("an address of a socket file", () => {
  it("says which host it is of, and others do not dial it", () => {
    const transport = unix();
    expect(transport.reaches?.(`unix:///a?host=${hostIdentity()}`)).toBe(true);
    expect(transport.reaches?.(`unix:///a?host=${"A".repeat(16)}`)).toBe(false);
    expect(transport.reaches?.("unix:///a")).toBe(true); // an operator's word
    expect(transport.reaches?.("unix://a")).toBe(false);
  });

  it("where nobody listens is refused at once, as the host of a TCP port does", async () => {
    const { transport } = await harness.node(FRAME_BYTES_MAX);
    const dial = transport.dial(`unix://${folder}/nobody.sock`, { timeoutMs: DEADLINE_MS });
    const error = await dial.catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "PEER_LOST", details: { refused: true } });
  });
});
