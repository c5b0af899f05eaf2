/** The bench as a program: the shape of its JSON, and what an interrupt leaves behind. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import type { Result } from "../../bench/kept-results.ts";
import { withDescendants } from "../../bench/process-figures.ts";
import { until } from "./until.ts";

const started: ChildProcess[] = [];
const folders: string[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill("SIGKILL");
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** With a temporary folder of its own, so that what it leaves there is seen. */
const startBench = (...flags: string[]) => {
  const temporary = mkdtempSync(join(tmpdir(), "meshbus-bench-test-"));
  folders.push(temporary);
  const child = spawn(process.execPath, [".build/bench/main.js", "--quick", ...flags], {
    env: { ...process.env, TMPDIR: temporary },
    stdio: ["ignore", "pipe", "pipe"],
  });
  started.push(child);
  const said = { out: "", progress: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said.out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said.progress += text;
  });
  return { child, said, temporary };
};

const isAlive = (pid: number): boolean => existsSync(`/proc/${pid}/exe`);

it("ends its output with one object that holds every system of a scenario, also those not there", async () => {
  const flags = ["--json", "--no-brokers", "--only", "rtt", "--systems", "meshbus,raw-tcp,nats"];
  const { child, said, temporary } = startBench(...flags);
  await once(child, "close");
  const lines = said.out.trim().split("\n");
  const { results, missing, quick, machine } = JSON.parse(lines.at(-1) ?? "") as Result;
  expect(child.exitCode).toBe(0);
  expect(results.map(({ system }) => system)).toEqual(["meshbus", "raw-tcp", "nats"]);
  const [ours, raw, nats] = results;
  expect(ours).toMatchObject({ scenario: "rtt", payloadBytes: 128, ack: "reply", rounds: 5 });
  for (const figure of ["p50Us", "p50UsMin", "p50UsMax", "p99Us", "p999Us", "ratioToRawTcp"]) {
    expect(ours?.[figure]).toBeGreaterThan(0);
  }
  expect(raw).toMatchObject({ goal: "meshbus at most 1.3 x this", met: expect.any(Boolean) });
  expect(nats).toMatchObject({ missing: "started without brokers" });
  expect(missing).toEqual(["rtt: nats: started without brokers"]);
  expect(quick).toBe(true);
  expect(machine).toMatchObject({ node: process.version, cores: expect.any(Number) });
  expect(readdirSync(temporary)).toEqual([]);
});

it.each(["SIGINT", "SIGTERM", "SIGKILL"] as const)(
  "leaves no process behind when it gets %s, nor a folder if it can",
  async (signal) => {
    const { child, said, temporary } = startBench(
      "--only",
      "throughput-durable",
      "--systems",
      "meshbus,redis-streams",
    );
    await until("its server runs, if there is one", () =>
      / redis.*(ready|installed)/.test(said.progress),
    );
    const pids = withDescendants([child.pid as number]);
    expect(pids.length).toBeGreaterThan(2);
    child.kill(signal);
    await once(child, "close");
    await until("all have gone", () => !pids.some(isAlive));
    if (signal !== "SIGKILL") expect(readdirSync(temporary)).toEqual([]);
  },
);
