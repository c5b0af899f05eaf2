/** Peers of transport tests in processes of their own, ended with the test whatever becomes of it. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { DEADLINE_MS, type Recorder } from "./transport-harness.ts";

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

/** What a peer process took at most, in MiB; of address space where the system says so. */
type Memory = { readonly residentMb: number; readonly reservedMb: number };

/** By how much the most that a peer process ever took grew meanwhile. It does nothing else, unlike the one that tests run in. */
export const memoryTaken = async (peer: Recorder, attack: () => Promise<void>): Promise<Memory> => {
  const before = await memoryOf(peer);
  await attack();
  const after = await memoryOf(peer);
  return {
    residentMb: after.residentMb - before.residentMb,
    reservedMb: after.reservedMb - before.reservedMb,
  };
};

const memoryOf = async (peer: Recorder): Promise<Memory> => {
  const before = peer.received;
  peer.connection.send(Buffer.from("memory"));
  await peer.until("answer", () => peer.received > before, DEADLINE_MS);
  return JSON.parse(Buffer.from(peer.frames.at(-1) as Uint8Array).toString()) as Memory;
};
