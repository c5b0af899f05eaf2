/** `npm run chaos` and `npm run chaos:power` on real processes, briefly: the promises hold, nothing is left behind. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, it } from "vitest";
import { missingForPower } from "../chaos/power-needs.ts";

const ZEROS = { lost: 0, duplicateEffects: 0, outOfOrder: 0, violations: 0 };
/** Power cuts need root, loop devices and a few programs: see docs/chaos.md. */
const canCutPower = missingForPower().length === 0;

let folder = "";
let child: ChildProcess | undefined;

const run = async (program: string, ...args: string[]) => {
  const path = fileURLToPath(new URL(`../../.build/test/chaos/${program}`, import.meta.url));
  const env = { ...process.env, TMPDIR: folder };
  child = spawn(process.execPath, [path, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const code = await new Promise<number | null>((resolve) => child?.once("close", resolve));
  const lastLine = stdout.trimEnd().split("\n").at(-1) || "{}";
  return { code, stderr, figures: JSON.parse(lastLine) as Record<string, unknown> };
};

beforeEach(() => {
  // Short: the path of a Unix socket has 107 bytes.
  folder = mkdtempSync(join(tmpdir(), "chaos-test-"));
});

afterEach(() => {
  child?.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

it("loses, doubles and reorders nothing while members are killed, paused, join and leave", async () => {
  const { code, stderr, figures } = await run(
    "main.js",
    "--seconds",
    "8",
    "--seed",
    "182",
    "--rate",
    "300",
    "--json",
  );
  expect(figures, stderr).toMatchObject({ ...ZEROS, ownerOverlaps: 0, deadLetters: 0 });
  expect(Number(figures.accepted)).toBeGreaterThan(500);
  expect(Number(figures.kills)).toBeGreaterThan(0);
  expect(Number(figures.handlerRepeats)).toBeGreaterThan(0);
  expect(code).toBe(0);
  expect(readdirSync(folder)).toEqual([]);
});

it.runIf(canCutPower)(
  "loses nothing when the power goes right after an acknowledgement",
  async () => {
    const { code, stderr, figures } = await run(
      "power-main.js",
      "--cuts",
      "3",
      "--seed",
      "2",
      "--rate",
      "200",
      "--json",
    );
    expect(figures, stderr).toMatchObject({ ...ZEROS, controls: { syncedLost: 0 } });
    expect(Number(figures.cuts)).toBeGreaterThanOrEqual(3);
    expect(Number(figures.accepted)).toBeGreaterThan(0);
    expect(code).toBe(0);
    expect(readdirSync(folder)).toEqual([]);
    expect(readFileSync("/proc/mounts", "utf8")).not.toContain(folder);
  },
);

it.each(["main.js", "power-main.js"])(
  "refuses wrong flags of %s, and starts nothing",
  async (program) => {
    const { code, stderr } = await run(program, "--seed", "x");
    expect(code).toBe(2);
    expect(stderr).toContain("--seed x");
    expect(readdirSync(folder)).toEqual([]);
  },
);
