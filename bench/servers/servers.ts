/** The brokers of a run: started when first asked for, each once, or named as missing with the reason. */
import { mkdirSync } from "node:fs";
import type { Child } from "../child.ts";
import { Server } from "./server.ts";
import { isInstalled, SERVER_KINDS, type ServerKind } from "./server-kinds.ts";

export type Missing = { readonly missing: string };

export type ServersOptions = {
  /** False: nothing is started. */
  readonly allowed: boolean;
  readonly folder: () => string;
  readonly startKeeper: () => Promise<Child>;
  readonly progress: (line: string) => void;
};

export class Servers {
  readonly #allowed: boolean;
  readonly #folder: () => string;
  readonly #startKeeper: () => Promise<Child>;
  readonly #progress: (line: string) => void;
  readonly #servers = new Map<ServerKind, Promise<Server | Missing>>();
  readonly #running = new Set<Server>();
  readonly #readyMs = new Map<ServerKind, number>();

  constructor({ allowed, folder, startKeeper, progress }: ServersOptions) {
    this.#allowed = allowed;
    this.#folder = folder;
    this.#startKeeper = startKeeper;
    this.#progress = progress;
  }

  get(kind: ServerKind): Promise<Server | Missing> {
    let server = this.#servers.get(kind);
    if (server === undefined) {
      server = this.#start(kind);
      this.#servers.set(kind, server);
    }
    return server;
  }

  /** All at once, before anything is measured. */
  async start(kinds: Iterable<ServerKind>): Promise<void> {
    await Promise.all([...kinds].map((kind) => this.get(kind)));
  }

  /** A second one of the kind, for a scenario that crashes it or looks at its memory. */
  async own(kind: ServerKind): Promise<Server | Missing> {
    return this.#start(kind);
  }

  /** How long the first of the kind took until it answered. */
  readyMs(kind: ServerKind): number | undefined {
    return this.#readyMs.get(kind);
  }

  /** All but that kind take no processor time until `goOn`: a server that nobody asks wakes now and then all the same. */
  async restBut(kind: ServerKind | undefined): Promise<void> {
    for (const [other, started] of this.#servers) {
      const server = await started;
      if ("missing" in server) continue;
      if (other === kind) server.goOn();
      else server.rest();
    }
  }

  goOn(): void {
    for (const server of this.#running) server.goOn();
  }

  async stop(): Promise<void> {
    this.goOn();
    await Promise.all([...this.#running].map((server) => server.stop()));
  }

  kill(): void {
    for (const server of this.#running) server.kill();
  }

  async #start(kind: ServerKind): Promise<Server | Missing> {
    const about = SERVER_KINDS[kind];
    if (!this.#allowed) return { missing: "started without brokers" };
    if (!isInstalled(kind)) {
      return { missing: `${about.debianPackage} is not installed (bench/brokers.sh)` };
    }
    const folder = this.#folder();
    mkdirSync(folder);
    const lacking = about.lacks?.(folder);
    if (lacking !== undefined) return { missing: lacking };
    const server = new Server(await this.#startKeeper(), await about.launch(folder));
    this.#running.add(server);
    try {
      const readyMs = await server.start();
      if (!this.#readyMs.has(kind)) this.#readyMs.set(kind, readyMs);
      this.#progress(`${kind} is ready after ${Math.round(readyMs)} ms`);
      return server;
    } catch (error) {
      return { missing: error instanceof Error ? error.message : String(error) };
    }
  }
}
