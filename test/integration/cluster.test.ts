/** `npm start` on real input: eight processes, one killed, and nothing lost, doubled or out of order. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { until } from "./until.ts";

const MAIN = fileURLToPath(new URL("../../.build/examples/cluster/main.js", import.meta.url));
const SERVICES = 8;

let folder = "";
let program: Program | undefined;

class Program {
  readonly child: ChildProcess;
  readonly exited: Promise<number | NodeJS.Signals | null>;
  stdout = "";
  stderr = "";

  constructor(...args: string[]) {
    // Data goes to a folder of this test, so that what is left behind shows.
    const env = { ...process.env, TMPDIR: folder };
    this.child = spawn(process.execPath, [MAIN, ...args], {
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
    });
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    this.exited = new Promise((resolve) => {
      this.child.once("close", (code, signal) => resolve(code ?? signal));
    });
  }

  get lastLine(): Record<string, unknown> {
    return JSON.parse(this.stdout.trimEnd().split("\n").at(-1) ?? "") as Record<string, unknown>;
  }

  /** Processes that it started and that live. */
  services(): number[] {
    const { pid } = this.child;
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
    return text.trim().split(" ").filter(Boolean).map(Number);
  }
}

const start = (...args: string[]): Program => {
  program = new Program(...args);
  return program;
};

/** A process that ended and was not yet waited for is gone as well. */
const isAlive = (pid: number): boolean => {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "meshbus-cluster-test-"));
});

afterEach(async () => {
  program?.child.kill("SIGTERM");
  await program?.exited;
  program = undefined;
  rmSync(folder, { recursive: true, force: true });
});

describe("the order business", () => {
  it.each(["inventory", "payment", "shipping", "orders", "notification"])(
    "loses, doubles and reorders nothing when %s is killed in the middle",
    async (victim) => {
      const run = start("--orders", "400", "--seed", "7", "--kill", victim, "--json");
      const code = await run.exited;
      expect(run.lastLine, run.stderr).toMatchObject({
        orders: 400,
        lost: 0,
        duplicateEffects: 0,
        outOfOrder: 0,
        kills: 1,
        killed: expect.stringContaining(victim),
      });
      const { completed, compensated, handlerRepeats, handlings, ledger } = run.lastLine;
      expect(Number(completed) + Number(compensated)).toBe(400);
      expect(Number(compensated)).toBeGreaterThan(0);
      // Every message of the shop was handled and judged: 12 for a shipped order, 14 for a cancelled one.
      expect(handlings).toBe(12 * Number(completed) + 14 * Number(compensated));
      expect(handlerRepeats).toBeGreaterThan(0);
      expect(ledger).toMatchObject({ pending: 0, dead: 0, expired: 0, abandoned: 0, damaged: 0 });
      expect(code).toBe(0);
      expect(readdirSync(folder)).toEqual([]);
    },
  );

  it("gives the same orders for the same seed, and kills nobody when told so", async () => {
    const runs: Record<string, unknown>[] = [];
    for (let n = 0; n < 2; n++) {
      const run = start("--orders", "100", "--seed", "11", "--kill", "none", "--json");
      expect(await run.exited, run.stderr).toBe(0);
      runs.push(run.lastLine);
    }
    const [first, second] = runs;
    expect(first).toMatchObject({ kills: 0, killed: "", lost: 0 });
    expect(second).toMatchObject({ compensated: first?.compensated, completed: first?.completed });
  });

  it("shows lines of progress and the verdict where there is no terminal", async () => {
    const run = start("--orders", "20", "--seed", "3");
    expect(await run.exited, run.stderr).toBe(0);
    expect(run.stdout).toMatch(/inventory-\d is killed with SIGKILL/);
    expect(run.stdout).toMatch(/inventory-\d is back, on the same data folder/);
    expect(run.stdout.trimEnd()).toMatch(/PROVEN: nothing was lost, doubled or out of order\.$/);
  });

  it("refuses wrong options, and starts nothing", async () => {
    for (const args of [["--orders", "0"], ["--kill", "recorder"], ["--seed", "x"], ["--what"]]) {
      const run = start(...args);
      expect(await run.exited).toBe(2);
      expect(run.stderr).toContain(args[0]);
      expect(run.stderr).toContain("npm start -- [options]");
      expect(readdirSync(folder)).toEqual([]);
    }
  });
});

describe("the processes of the order business", () => {
  it("end with their data when the main process is interrupted", async () => {
    const run = start("--orders", "5000", "--seed", "5", "--json");
    await until(
      "orders flow",
      () => /placed [1-9]/.test(run.stderr),
      () => run.stderr,
    );
    const pids = run.services();
    expect(pids).toHaveLength(SERVICES);
    run.child.kill("SIGINT");
    expect(await run.exited).toBe(1);
    expect(run.stderr).toContain("interrupted");
    expect(pids.filter(isAlive)).toEqual([]);
    expect(readdirSync(folder)).toEqual([]);
  });

  it("end when they are interrupted before they have come up", async () => {
    const run = start("--orders", "50", "--seed", "5", "--json");
    await until("processes start", () => run.services().length === SERVICES);
    const pids = run.services();
    run.child.kill("SIGINT");
    expect(await run.exited).toBe(1);
    expect(pids.filter(isAlive)).toEqual([]);
    expect(readdirSync(folder)).toEqual([]);
  });

  it("end when the main process is killed", async () => {
    const run = start("--orders", "5000", "--seed", "5", "--json");
    await until("processes start", () => run.services().length === SERVICES);
    const pids = run.services();
    run.child.kill("SIGKILL");
    await until("no process is left", () => pids.filter(isAlive).length === 0);
  });
});
