/**
 * Runs the processes of one broker and never outlives the bench: when the channel to it closes, however the bench
 * ended, the broker is killed with all it started.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { connect } from "node:net";
import type { Command } from "../servers/server-kinds.ts";
import { serve } from "./serve.ts";

const LOOK_MS = 20;
const STDERR_KEPT = 2_000;
const STOP_MS = 8_000;

const groups = new Map<string, ChildProcess>();
let output = "";

const wait = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

const isRunning = ({ exitCode, signalCode }: ChildProcess): boolean =>
  exitCode === null && signalCode === null;

const start = ({ file, args, env }: Command): void => {
  const child = spawn(file, args, {
    detached: true, // a group of its own, which is killed as a whole
    env: { PATH: process.env.PATH ?? "", LANG: "C.UTF-8", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const heard = (text: Buffer): void => {
    output = (output + text.toString()).slice(-STDERR_KEPT);
  };
  child.stdout?.on("data", heard);
  child.stderr?.on("data", heard);
  child.on("error", (error) => heard(Buffer.from(`${error}`)));
  groups.set(file, child);
};

const signal = (child: ChildProcess, name: NodeJS.Signals): void => {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, name);
  } catch {
    // gone already
  }
};

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });

const untilReady = async (main: string, port: number): Promise<void> => {
  while (!(await answers(port))) {
    const child = groups.get(main) as ChildProcess;
    if (!isRunning(child) || child.pid === undefined) throw new Error(`did not start: ${output}`);
    await wait(LOOK_MS);
  }
};

process.on("exit", () => {
  for (const child of groups.values()) signal(child, "SIGKILL");
});

serve({
  /** Starts what does not run yet. Resolves when the port answers, with the ids of the processes started. */
  start: async ({ port, commands }: { port: number; commands: Command[] }): Promise<number[]> => {
    for (const command of commands) {
      const running = groups.get(command.file);
      if (running === undefined || !isRunning(running)) start(command);
    }
    await untilReady((commands.at(-1) as Command).file, port);
    return [...groups.values()].flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
  },
  /** The server itself, as a crash would end it; what stands beside it stays. */
  crash: async ({ file }: { file: string }): Promise<void> => {
    const child = groups.get(file) as ChildProcess;
    signal(child, "SIGKILL");
    while (isRunning(child)) await wait(1);
  },
  stop: async (): Promise<void> => {
    const all = [...groups.values()].reverse();
    for (const child of all) {
      signal(child, "SIGTERM");
      for (let ms = 0; isRunning(child) && ms < STOP_MS; ms += LOOK_MS) await wait(LOOK_MS);
      signal(child, "SIGKILL");
    }
  },
});
