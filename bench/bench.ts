/**
 * One run of the bench: its children, its brokers, its temporary folders, its pace. Whatever happens, `end` leaves
 * neither processes nor files behind.
 */
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BenchFlags } from "./bench-flags.ts";
import { Child } from "./child.ts";
import { Servers } from "./servers/servers.ts";

/** File system type of memory that looks like a disk (statfs(2)). */
const TMPFS = 0x0102_1994;

export class Bench {
  readonly flags: BenchFlags;
  readonly servers: Servers;
  readonly #children = new Set<Child>();
  readonly #root: string;
  readonly #startMs = performance.now();
  #folders = 0;

  constructor(flags: BenchFlags) {
    this.flags = flags;
    // What is called durable must reach a disk.
    const base = statfsSync(tmpdir()).type === TMPFS ? process.cwd() : tmpdir();
    this.#root = mkdtempSync(join(base, "meshbus-bench-"));
    this.servers = new Servers({
      allowed: flags.brokers,
      folder: () => this.folder(),
      startKeeper: () => this.start("server-keeper"),
      progress: (line) => this.progress(line),
    });
  }

  /** A number of rounds or messages: less of it when the run is quick. */
  pick(full: number, quick: number): number {
    return this.flags.quick ? quick : full;
  }

  /** Since the beginning. */
  minutes(): number {
    return (performance.now() - this.#startMs) / 60_000;
  }

  /** A folder that does not exist yet. */
  folder(): string {
    return join(this.#root, `${++this.#folders}`);
  }

  /** A mesh of its own, so that runs side by side do not meet. */
  mesh(): string {
    return `bench-${randomUUID().slice(0, 8)}`;
  }

  progress(line: string): void {
    const seconds = ((performance.now() - this.#startMs) / 1_000).toFixed(0).padStart(4);
    process.stderr.write(`${seconds} s  ${line}\n`);
  }

  async start(name: string): Promise<Child> {
    const { profileDir } = this.flags;
    const profile = ["--cpu-prof", `--cpu-prof-dir=${profileDir}`];
    const named = [...profile, `--cpu-prof-name=${name}-${this.#children.size}.cpuprofile`];
    const child = new Child(name, profileDir === undefined ? [] : named);
    this.#children.add(child);
    await child.ready();
    return child;
  }

  /** Ends the brokers in order; `end` follows. */
  async close(): Promise<void> {
    await this.servers.stop();
  }

  /** Kills what still runs and removes the folders. */
  end(): void {
    this.servers.kill();
    for (const child of this.#children) child.kill();
    rmSync(this.#root, { recursive: true, force: true, maxRetries: 5 });
  }
}
