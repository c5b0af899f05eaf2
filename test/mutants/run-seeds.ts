/** Runs simulated seeds in a tree, in a process of its own that is stopped when enough is known. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { SeedReport } from "./seed-runner.ts";

/** What waits for something that never comes uses no processor time; that, cpu-watchdog.ts looks after. */
const SEED_MS_MAX = 3_600_000;
/** How cpu-watchdog.ts ends a process. */
const OVERRUN = "SIGTERM";
const STDERR_KEPT = 2_000;

export type SeedsEnd =
  | { readonly type: "done" | "stopped" }
  /** A seed took too long. */
  | { readonly type: "hang" }
  | { readonly type: "died"; readonly stderr: string };

/** `ranges`: as of seed-runner.ts. `told` hears of each seed in order and says whether that was enough. */
export const runSeeds = async (
  treePath: string,
  ranges: readonly string[],
  told: (report: SeedReport) => Promise<boolean>,
): Promise<SeedsEnd> => {
  const program = join(treePath, "test/mutants/seed-runner.js");
  const child = spawn(process.execPath, [program, ...ranges], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = once(child, "exit");
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => {
    stderr = `${stderr}${chunk}`.slice(-STDERR_KEPT);
  });
  let end: SeedsEnd | undefined;
  const hangs = (): void => {
    end = { type: "hang" };
    child.kill("SIGKILL");
  };
  let watchdog = setTimeout(hangs, SEED_MS_MAX);
  for await (const line of createInterface({ input: child.stdout })) {
    clearTimeout(watchdog);
    const isEnough = await told(JSON.parse(line) as SeedReport);
    if (isEnough) {
      end = { type: "stopped" };
      child.kill("SIGKILL");
      break;
    }
    watchdog = setTimeout(hangs, SEED_MS_MAX);
  }
  clearTimeout(watchdog);
  const [code, signal] = (await exited) as [number | null, NodeJS.Signals | null];
  if (signal === OVERRUN) return { type: "hang" };
  return end ?? (code === 0 ? { type: "done" } : { type: "died", stderr });
};
