import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomBytes, randomInt } from "node:crypto";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import type { MdnsOptions } from "../../../src/discovery/mdns/mdns-options.ts";
import type { Announcement } from "../../../src/ports/discovery.ts";
import { announcement, freshNodeId } from "../discovery-recorder.ts";

const PROGRAM = fileURLToPath(
  new URL("../../../.build/test/children/discovery-node.js", import.meta.url),
);

/** From iproute2; the cases that need it are left out where it cannot be run. */
const IP = "ip";
/** Ends a wait that would be in vain. */
const DEADLINE_MS = 60_000;

/** A fifth of it is left when what is known is asked for again: much more than a process is ever kept waiting. */
const TTL_MS = 4_000;

type Line = { at: number; kind: string; nodeId?: string; code?: string; addresses?: string[] };

/** A discovery node in a process of its own, and the lines it printed. */
class NodeProcess {
  readonly self: Announcement;
  readonly lines: Line[] = [];
  readonly exited: Promise<number | null>;
  readonly #child: ChildProcess;
  #errors = "";

  constructor(self: Announcement, options: MdnsOptions, namespace?: string, secret?: string) {
    this.self = self;
    const command = [process.execPath, PROGRAM, JSON.stringify({ self, options, secret })];
    const full = namespace === undefined ? command : [IP, "netns", "exec", namespace, ...command];
    const [file = "", ...args] = full;
    this.#child = spawn(file, args, { stdio: ["pipe", "pipe", "pipe"] });
    this.exited = new Promise((resolve) => this.#child.once("exit", resolve));
    let text = "";
    this.#child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      const complete = text.split("\n");
      text = complete.pop() ?? "";
      for (const line of complete) this.lines.push(JSON.parse(line) as Line);
    });
    this.#child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
      this.#errors = (this.#errors + chunk).slice(-4_000);
    });
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  tellToStop(): void {
    this.#child.stdin?.end("stop\n");
  }

  line(kind: string, nodeId?: string): Promise<Line> {
    return this.lineWhere(`"${kind}" ${nodeId ?? ""}`, (each) => {
      return each.kind === kind && (nodeId === undefined || each.nodeId === nodeId);
    });
  }

  async lineWhere(what: string, matches: (line: Line) => boolean): Promise<Line> {
    const deadlineMs = performance.now() + DEADLINE_MS;
    while (performance.now() < deadlineMs) {
      const line = this.lines.find(matches);
      if (line !== undefined) return line;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const heard = `${JSON.stringify(this.lines)} ${this.#errors}`;
    throw new Error(`no ${what} within ${DEADLINE_MS} ms; heard ${heard}`);
  }
}

const running: NodeProcess[] = [];
const namespaces: string[] = [];

const launch = (
  self: Announcement,
  options: MdnsOptions,
  namespace?: string,
  secret?: string,
): NodeProcess => {
  const node = new NodeProcess(self, options, namespace, secret);
  running.push(node);
  return node;
};

const ip = (...args: string[]): void => {
  execFileSync(IP, args, { stdio: "pipe" });
};

/** Needs root and the namespace feature; probed by making one. */
const canMakeNamespaces = ((): boolean => {
  const name = `mb${freshNodeId().slice(0, 8)}`;
  try {
    ip("netns", "add", name);
    ip("netns", "del", name);
    return true;
  } catch {
    return false;
  }
})();

const makeNamespace = (): string => {
  const name = `mb${freshNodeId().slice(0, 8)}`;
  ip("netns", "add", name);
  namespaces.push(name);
  return name;
};

/** Two namespaces and a link between them. */
const joined = (): [string, string] => {
  const [left, right] = [makeNamespace(), makeNamespace()];
  const ends = ["veth0", "netns", left, "type", "veth", "peer", "name", "veth0", "netns", right];
  ip("link", "add", ...ends);
  for (const [namespace, address] of [
    [left, "10.77.0.1"],
    [right, "10.77.0.2"],
  ] as const) {
    ip("-n", namespace, "addr", "add", `${address}/24`, "dev", "veth0");
    ip("-n", namespace, "link", "set", "veth0", "up");
    ip("-n", namespace, "link", "set", "lo", "up");
  }
  return [left, right];
};

afterEach(async () => {
  for (const node of running) node.kill();
  await Promise.all(running.splice(0).map((node) => node.exited));
  for (const name of namespaces.splice(0)) ip("netns", "del", name);
});

describe("mdns between processes", () => {
  it("has been compiled by the build", () => {
    expect(existsSync(PROGRAM), `${PROGRAM} is missing: run npm run build`).toBe(true);
  });

  it("finds, hears a goodbye, and lets the process end by itself", async () => {
    const options = { port: randomInt(20_000, 30_000) };
    const selfA = announcement();
    const selfB = announcement({ mesh: selfA.mesh });
    const a = launch(selfA, options);
    await a.line("started");
    const b = launch(selfB, options);
    await a.line("found", selfB.nodeId);
    await b.line("found", selfA.nodeId);
    b.tellToStop();
    await a.line("lost", selfB.nodeId);
    expect(await b.exited).toBe(0);
    a.tellToStop();
    expect(await a.exited).toBe(0);
  });

  it("loses a killed peer when its TTL has run out, and not a live one", async () => {
    const options = { port: randomInt(20_000, 30_000), ttlMs: TTL_MS };
    const selfA = announcement();
    const selfB = announcement({ mesh: selfA.mesh });
    const selfC = announcement({ mesh: selfA.mesh });
    const [a, b, c] = [selfA, selfB, selfC].map((self) => launch(self, options));
    if (a === undefined || b === undefined || c === undefined) throw new Error("unreachable");
    await a.line("found", selfB.nodeId);
    await a.line("found", selfC.nodeId);
    b.kill();
    await b.exited;
    const killedAt = performance.timeOrigin + performance.now();
    const lost = await a.line("lost", selfB.nodeId);
    expect(lost.at).toBeGreaterThan(killedAt);
    // c outlives its TTL because a asks again from 80 % of it on.
    const later = (line: Line): boolean =>
      line.at > killedAt + 2 * TTL_MS && line.nodeId === selfC.nodeId;
    await a.lineWhere(
      "c is heard of two TTLs later",
      (line) => line.kind === "found" && later(line),
    );
    const lostC = a.lines.filter((line) => line.kind === "lost" && line.nodeId === selfC.nodeId);
    expect(lostC).toEqual([]);
  });

  it.skipIf(!canMakeNamespaces)(
    "starts where no interface is up, says so, and finds peers once one is (needs root)",
    async () => {
      const namespace = makeNamespace();
      const options = { interfacePollMs: 200 };
      const selfA = announcement();
      const selfB = announcement({ mesh: selfA.mesh });
      const a = launch(selfA, options, namespace);
      const b = launch(selfB, options, namespace);
      await a.line("started");
      expect((await a.line("problem")).code).toBe("PEER_LOST");
      ip("-n", namespace, "link", "set", "lo", "up");
      await a.line("found", selfB.nodeId);
      await b.line("found", selfA.nodeId);
    },
  );

  it.skipIf(!canMakeNamespaces)(
    "finds peers across a link without any route for multicast (needs root)",
    async () => {
      const [left, right] = joined();
      const mesh = `mesh-${freshNodeId()}`;
      // 0.0.0.0 stands for the interface; loopback and unix addresses are not for other hosts.
      const addresses = ["zmq://0.0.0.0:7400", "tcp://127.0.0.1:7401", "unix:///run/a.sock"];
      const wide = { mesh, loopbackOnly: false, addresses };
      const options = { interfacePollMs: 200 };
      const a = launch(announcement(wide), options, left);
      const b = launch(announcement(wide), options, right);
      expect((await a.line("found", b.self.nodeId)).addresses).toEqual(["zmq://10.77.0.2:7400"]);
      expect((await b.line("found", a.self.nodeId)).addresses).toEqual(["zmq://10.77.0.1:7400"]);
    },
  );

  it.skipIf(!canMakeNamespaces)(
    "finds members across a link by the mesh's seal, and nobody else (needs root)",
    async () => {
      const [left, right] = joined();
      const [own, other] = [randomBytes(32).toString("hex"), randomBytes(32).toString("hex")];
      const mesh = `mesh-${freshNodeId()}`;
      const wide = { mesh, loopbackOnly: false, addresses: ["zmq://0.0.0.0:7400"] };
      const options = { interfacePollMs: 200, ttlMs: 2_000 };
      const a = launch(announcement(wide), options, left, own);
      const b = launch(announcement(wide), options, right, own);
      const open = launch(announcement(wide), options, right);
      const thief = launch(announcement(wide), options, right, other);
      expect((await a.line("found", b.self.nodeId)).addresses).toEqual(["zmq://10.77.0.2:7400"]);
      expect((await b.line("found", a.self.nodeId)).addresses).toEqual(["zmq://10.77.0.1:7400"]);
      await open.line("started");
      await thief.line("started");
      const metAt = performance.timeOrigin + performance.now();
      // Heard of again two lives of a record later, and gone at once with a goodbye.
      await a.lineWhere("b is heard of again", (line) => line.at > metAt + 4_000);
      b.tellToStop();
      await a.line("lost", b.self.nodeId);
      const heard = [a, b, open, thief].flatMap(({ lines }) => lines.map(({ nodeId }) => nodeId));
      const strangers = [open.self.nodeId, thief.self.nodeId];
      expect(heard.filter((nodeId) => strangers.includes(nodeId ?? ""))).toEqual([]);
      expect([...open.lines, ...thief.lines].filter(({ kind }) => kind === "found")).toEqual([]);
    },
  );

  it.skipIf(!canMakeNamespaces)(
    "still finds local peers when one interface cannot multicast (needs root)",
    async () => {
      const namespace = makeNamespace();
      ip("-n", namespace, "link", "set", "lo", "up");
      ip("-n", namespace, "tuntap", "add", "dev", "tun0", "mode", "tun");
      ip("-n", namespace, "link", "set", "tun0", "multicast", "off");
      ip("-n", namespace, "addr", "add", "10.78.0.1/24", "dev", "tun0");
      ip("-n", namespace, "link", "set", "tun0", "up");
      const mesh = `mesh-${freshNodeId()}`;
      const wide = { mesh, loopbackOnly: false };
      const a = launch(announcement(wide), {}, namespace);
      const b = launch(announcement(wide), {}, namespace);
      await a.line("found", b.self.nodeId);
      await b.line("found", a.self.nodeId);
    },
  );
});
