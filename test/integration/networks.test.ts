/**
 * `npm run chaos:net` on real network namespaces, briefly: what it does to a network it does, the promises hold,
 * and nothing is left behind. Needs root and `ip netns`: see docs/networks.md.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { nowMs } from "../chaos/chaos-record.ts";
import { type Air, HOSTS, type Host, NetworkBed } from "../network/network-bed.ts";
import { missingForNetworks } from "../network/network-needs.ts";
import { range, until } from "./until.ts";

const canMakeHosts = missingForNetworks().length === 0;
const NOBODY = 65_534;

const builtPath = (program: string): string =>
  fileURLToPath(new URL(`../../.build/test/${program}`, import.meta.url));
/** Those that this process made; others may run the same beside it. */
const namespacesOf = (pid: number | undefined): string[] =>
  execFileSync("ip", ["netns", "list"], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line.startsWith(`meshbus-${pid}-`))
    .map((line) => line.split(" ")[0] ?? "");

/** A process on a host, that sends and receives datagrams. */
class Probe {
  readonly got: { readonly text: string; readonly atMs: number }[] = [];
  isReady = false;
  readonly #child: ChildProcess;

  constructor(bed: NetworkBed, host: Host) {
    const [command = "", ...args] = bed.on(host);
    const probe = [process.execPath, builtPath("children/network-probe.js"), bed.addressOf(host)];
    this.#child = spawn(command, [...args, ...probe], { stdio: ["pipe", "pipe", "inherit"] });
    if (this.#child.stdout === null) throw new Error("no pipe");
    createInterface({ input: this.#child.stdout }).on("line", (line) => {
      const said = JSON.parse(line) as "ready" | (typeof this.got)[number];
      if (said === "ready") this.isReady = true;
      else this.got.push(said);
    });
  }

  send(to: string, ...texts: string[]): void {
    this.#child.stdin?.write(`${JSON.stringify({ to, texts })}\n`);
  }

  has(text: string): boolean {
    return this.got.some((one) => one.text === text);
  }

  texts(): string[] {
    return this.got.map(({ text }) => text);
  }
}

describe.runIf(canMakeHosts)("a network of hosts", () => {
  let bed: NetworkBed;
  let probes: Record<Host, Probe>;

  const begin = async (air: Air | undefined): Promise<void> => {
    bed = await NetworkBed.create(air, 1);
    const [a, b, c] = HOSTS.map((host) => new Probe(bed, host)) as [Probe, Probe, Probe];
    probes = { a, b, c };
    await until("the probes are up", () => [a, b, c].every(({ isReady }) => isReady));
  };
  /** What is sent on one path keeps its order: what came before the last one and is not here was lost. */
  const arrives = async (from: Host, to: Host, text: string): Promise<void> => {
    probes[from].send(bed.addressOf(to), text);
    await until(`${text} arrives`, () => probes[to].has(text));
  };

  afterEach(async () => {
    await bed.end();
    expect(namespacesOf(process.pid)).toEqual([]);
  });

  it("loses what it is told to lose, in that direction only, and nobody is told", async () => {
    await begin(undefined);
    const { a, b, c } = probes;
    await arrives("a", "b", "before");
    const mend = await bed.cut([["a", "b"]]);
    a.send(bed.addressOf("b"), "lost");
    a.send(bed.addressOf("c"), "not lost");
    await arrives("b", "a", "the other way");
    await until("c has it", () => c.has("not lost"));
    await mend();
    await arrives("a", "b", "after");
    expect(b.texts()).toEqual(["before", "after"]);

    a.send("224.0.0.251", "to all");
    await until("all have it", () => b.has("to all") && c.has("to all"));
    await bed.cutMulticast();
    a.send("224.0.0.251", "to nobody");
    await arrives("a", "b", "to one");
    expect(b.texts()).not.toContain("to nobody");

    const was = bed.addressOf("c");
    await bed.move("c");
    expect(bed.addressOf("c")).not.toBe(was);
    a.send(was, "to where it was");
    await arrives("a", "c", "to where it is");
    expect(c.texts()).not.toContain("to where it was");
  });

  it("delays, loses and doubles on a bad cable", async () => {
    await begin({ delayMs: 30, loss: 0.05, duplicates: 0.02 });
    const count = 1_000;
    const sentMs = nowMs();
    const texts = range(0, count).map(String);
    const { a, b } = probes;
    const passes = (mark: string): Promise<void> =>
      until(`${mark} arrives`, () => {
        a.send(bed.addressOf("b"), mark);
        return b.has(mark);
      });
    await passes("mark 0");
    for (let n = 0; n < count; n += 100) {
      // No more at a time than the receiver's socket holds: what is lost, the cable has lost.
      a.send(bed.addressOf("b"), ...texts.slice(n, n + 100));
      await passes(`mark ${n + 100}`);
    }
    const came = b.got.filter(({ text }) => !text.startsWith("mark"));
    const lost = count - new Set(came.map(({ text }) => text)).size;
    const doubled = came.length - (count - lost);
    // Five standard deviations.
    expect(lost).toBeGreaterThan(15);
    expect(lost).toBeLessThan(85);
    expect(doubled).toBeGreaterThan(0);
    expect(doubled).toBeLessThan(45);
    for (const { atMs } of b.got) expect(atMs - sentMs).toBeGreaterThan(29);
    expect([...came].sort((x, y) => Number(x.text) - Number(y.text))).toEqual(came);
  });
});

describe("npm run chaos:net", () => {
  let folder = "";
  let child: ChildProcess | undefined;

  const start = (args: readonly string[], uid?: number) => {
    child = spawn(process.execPath, [builtPath("network/main.js"), ...args], {
      env: { ...process.env, TMPDIR: folder },
      stdio: ["ignore", "pipe", "pipe"],
      ...(uid !== undefined && { uid }),
    });
    let stdout = "";
    let stderr = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    const ended = new Promise<number | null>((resolve) => child?.once("close", resolve));
    return ended.then((code) => {
      const lastLine = stdout.trimEnd().split("\n").at(-1) || "{}";
      return { code, stderr, said: JSON.parse(lastLine) as Record<string, unknown> };
    });
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "net-test-"));
  });

  afterEach(async () => {
    child?.kill("SIGKILL");
    if (canMakeHosts)
      await until("no namespace is left", () => namespacesOf(child?.pid).length === 0);
    rmSync(folder, { recursive: true, force: true });
  });

  it.runIf(canMakeHosts)("loses, doubles and reorders nothing in a partition", async () => {
    const only = ["--only", "partition", "--seconds", "3", "--seed", "3", "--rate", "90"];
    const { code, stderr, said } = await start([...only, "--no-floors", "--json"]);
    const [scenario] = said.scenarios as Record<string, unknown>[];
    const zeros = { lost: 0, doubled: 0, outOfOrder: 0, ownerOverlaps: 0, violations: 0 };
    expect(scenario, stderr).toMatchObject({ name: "partition", ...zeros });
    expect(Number(scenario?.accepted)).toBeGreaterThan(200);
    expect(Number(scenario?.healMs)).toBeGreaterThan(0);
    expect(scenario).not.toHaveProperty("failures");
    expect(code).toBe(0);
    expect(readdirSync(folder)).toEqual([]);
  });

  it.runIf(canMakeHosts).each(["SIGTERM", "SIGKILL"] as const)(
    "leaves no host behind when it gets %s",
    async (signal) => {
      const ended = start(["--only", "seed-only", "--json"]);
      await until("its hosts are there", () => namespacesOf(child?.pid).length === 4);
      child?.kill(signal);
      const { code } = await ended;
      expect(code).toBe(signal === "SIGTERM" ? 1 : null);
      await until("no namespace is left", () => namespacesOf(child?.pid).length === 0);
    },
  );

  it.runIf(process.getuid?.() === 0)("says what it lacks, and skips", async () => {
    const { code, stderr, said } = await start(["--json"], NOBODY);
    expect(said).toMatchObject({ skipped: "needs root and ip netns" });
    expect(stderr.trimEnd().split("\n")).toEqual([expect.stringContaining("missing: root")]);
    expect(code).toBe(0);
  });

  it("refuses wrong flags, and starts nothing", async () => {
    for (const args of [["--seed", "x"], ["--only", "nothing"], ["--only"]]) {
      const { code, stderr } = await start(args);
      expect(code).toBe(2);
      expect(stderr).toContain(args[1] ?? "--only");
    }
    expect(readdirSync(folder)).toEqual([]);
  });
});
