/** Peers of transport tests in processes of their own, ended with the test whatever becomes of it. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

const CHILD = fileURLToPath(
  new URL("../../.build/test/children/transport-echo.js", import.meta.url),
);

export type PeerProcess = ChildProcessByStdio<null, Readable, null>;

export class PeerProcesses {
  readonly #children: PeerProcess[] = [];

  /** Starts a peer process and gives the first line it prints. */
  async start(...args: string[]): Promise<{ child: PeerProcess; line: string }> {
    const child = spawn(process.execPath, [CHILD, ...args], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#children.push(child);
    const [chunk] = (await once(child.stdout, "data")) as [Buffer];
    return { child, line: chunk.toString().trim() };
  }

  kill(): void {
    for (const child of this.#children) {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    }
  }
}
