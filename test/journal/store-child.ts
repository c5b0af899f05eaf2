/** Starts a compiled child of test/children, and reads its lines. `npm test` compiles them first. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const CHILDREN = fileURLToPath(new URL("../../.build/test/children/", import.meta.url));

export type StoreChild = {
  readonly process: ChildProcess;
  readonly lines: string[];
  /** Resolves with the first line that `wanted` accepts, past or to come; rejects when the child ends. */
  line(wanted?: (line: string) => boolean): Promise<string>;
  /** The exit code or the signal's name. */
  readonly ended: Promise<number | string>;
  /** Kills it outright and waits until it is gone. */
  kill(): Promise<void>;
};

export type ChildCommand = {
  readonly name: string;
  readonly args: readonly string[];
  /** What runs node, such as ["strace", "-f"]. */
  readonly under?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
};

export function childPath(name: string): string {
  const path = `${CHILDREN}${name}.js`;
  if (!existsSync(path)) throw new Error(`${path} is missing: run "npm run build" first`);
  return path;
}

export function startChild({ name, args, under = [], env = {} }: ChildCommand): StoreChild {
  const [command = process.execPath, ...rest] = [
    ...under,
    process.execPath,
    childPath(name),
    ...args,
  ];
  const child = spawn(command, rest, {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  let partial = "";
  let complaints = "";
  child.stderr.on("data", (chunk) => {
    complaints += String(chunk);
  });
  child.stdout.on("data", (chunk) => {
    const parts = (partial + String(chunk)).split("\n");
    partial = parts.pop() ?? "";
    lines.push(...parts);
    for (const look of waiting) look();
  });
  const ended = once(child, "close").then(([code, signal]) => code ?? signal);
  return {
    process: child,
    lines,
    ended,
    line: (wanted = () => true) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = lines.find(wanted);
          if (found === undefined) return;
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
        void ended.then((how) => reject(new Error(`${name} ended (${how}): ${complaints}`)));
      }),
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}
