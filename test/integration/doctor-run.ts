/** `meshbus doctor` as a process of its own, and what it found. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "vitest";

const run = promisify(execFile);
const MAIN = join(import.meta.dirname, "../../dist/cli/main.js");

type Finding = { check: string; severity: string; finding: string; remedy?: string };
type Report = { code: number; findings: Finding[]; problems: number };

export const call = async (
  ...args: string[]
): Promise<{ code: number; stdout: string; stderr: string }> => {
  try {
    return { code: 0, ...(await run(process.execPath, [MAIN, ...args])) };
  } catch (error) {
    return error as { code: number; stdout: string; stderr: string };
  }
};

export const examine = async (...args: string[]): Promise<Report> => {
  const { code, stdout, stderr } = await call("doctor", "--json", "--seconds", "1", ...args);
  expect(stderr).toBe("");
  return { code, ...(JSON.parse(stdout) as Omit<Report, "code">) };
};

/** "finding -> remedy" of each. */
export const found = ({ findings }: Report, check: string, severity: string): string[] =>
  findings
    .filter((one) => one.check === check && one.severity === severity)
    .map(({ finding, remedy }) => (remedy === undefined ? finding : `${finding} -> ${remedy}`));
