/** Real members: nobody is taken for dead because it is blocked, and everybody hears of who is. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterEach, expect, it } from "vitest";
import type { MembersReport } from "../membership/processes/run-members.ts";

const PROGRAM = fileURLToPath(
  new URL("../../.build/test/membership/processes/main.js", import.meta.url),
);
/** That 3 s hold is shown by the simulation; here, that nobody waits for anything but its own processor. */
const KNOWN_MS = 20_000;

let child: ChildProcess | undefined;
afterEach(() => child?.kill("SIGTERM"));

const run = async (...args: string[]): Promise<{ report: MembersReport; stderr: string }> => {
  child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  await new Promise((resolve) => child?.once("close", resolve));
  const lastLine = stdout.trimEnd().split("\n").at(-1) ?? "";
  if (lastLine === "") throw new Error(stderr);
  return { report: JSON.parse(lastLine) as MembersReport, stderr };
};

it("ten members, one blocked for 80 % of the time: no false death, and two true ones are known", async () => {
  const { report, stderr } = await run("--nodes", "10", "--seconds", "20");
  expect(report, stderr).toMatchObject({ nodes: 10, falseDeaths: 0 });
  for (const { mesh, lease } of [report.killed, report.stopped]) {
    expect(mesh.max).toBeLessThan(KNOWN_MS);
    expect(lease.max).toBeLessThan(KNOWN_MS);
  }
});
