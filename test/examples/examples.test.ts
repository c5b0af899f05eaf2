/** Each small example, run as a reader runs it, prints what its first lines announce. */
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { missingForPython } from "../../examples/python/find-python.ts";
import { ROOT_PATH } from "../project/source-tree.ts";

const RUN_TIMEOUT_MS = 200_000;
const EXAMPLES_PATH = join(ROOT_PATH, "examples");
const COMPILED_MAIN = join(ROOT_PATH, ".build", "examples", "main.js");
/** Have tests of their own: test/integration/cluster.test.ts and test/integration/containers.test.ts. */
const NOT_SMALL = ["cluster", "containers"];

const NAMES = readdirSync(EXAMPLES_PATH, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !NOT_SMALL.includes(entry.name))
  .map((entry) => entry.name);

type Outcome = {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number | null;
  /** Processes of the example that still lived after it had ended. */
  readonly leftBehind: boolean;
};

describe("the small examples", () => {
  it("are those that the documentation names", () => {
    expect(NAMES.sort()).toEqual([
      "away",
      "hello",
      "ordered-keys",
      "python",
      "request-reply",
      "testing",
      "work-queue",
    ]);
    const index = readFileSync(join(EXAMPLES_PATH, "README.md"), "utf8");
    for (const name of NAMES) expect(index).toContain(`npm run example -- ${name}`);
  });

  /** Why an example cannot run here. */
  const missing = (name: string): string | undefined =>
    name === "python" ? missingForPython() : undefined;
  const runnable = NAMES.filter((name) => missing(name) === undefined);
  for (const name of NAMES.filter((one) => !runnable.includes(one))) {
    it.skip(`${name} does not run: ${missing(name)}`, () => {});
  }

  it.each(runnable)("%s prints what it announces and ends", async (name) => {
    const outcome = await run([name]);
    expect(outcome).toEqual({
      stdout: announced(name),
      stderr: "",
      code: 0,
      leftBehind: false,
    });
  });

  it("are listed when none is named", async () => {
    const { stderr, code } = await run([]);
    expect(code).toBe(1);
    for (const name of NAMES) expect(stderr).toContain(name);
  });
});

/** The comment lines after "// output:". */
function announced(name: string): string {
  const lines = readFileSync(join(EXAMPLES_PATH, name, "main.ts"), "utf8").split("\n");
  const from = lines.indexOf("// output:") + 1;
  if (from === 0) throw new Error(`examples/${name}/main.ts announces no output`);
  const end = lines.findIndex((line, at) => at >= from && !line.startsWith("//"));
  return lines
    .slice(from, end)
    .map((line) => `${line.slice("// ".length)}\n`)
    .join("");
}

/** Runs in a process group of its own, which is killed when the example does not end in time. */
function run(args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [COMPILED_MAIN, ...args], {
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const output = { stdout: "", stderr: "" };
    const killGroup = (): boolean => {
      try {
        return child.pid !== undefined && process.kill(-child.pid, "SIGKILL");
      } catch {
        return false; // ESRCH: nobody is left
      }
    };
    const timer = setTimeout(killGroup, RUN_TIMEOUT_MS);
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output.stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      output.stderr += text;
    });
    child.on("error", reject);
    child.on("exit", (code) => {
      clearTimeout(timer);
      const leftBehind = killGroup();
      child.on("close", () => resolve({ ...output, code, leftBehind }));
    });
  });
}
