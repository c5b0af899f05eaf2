/** The brokers of a run: started when first asked for, each once, or named as missing with the reason. */
import { mkdirSync } from "node:fs";
import type { Child } from "../child.ts";
import { Server } from "./server.ts";
import { isInstalled, SERVER_KINDS, type ServerKind } from "./server-kinds.ts";

export type Missing = { readonly missing: string };

export class Servers {
  readonly #allowed: boolean;
  readonly #folder: () => string;
  readonly #startKeeper: () => Promise<Child>;
  readonly #servers = new Map<ServerKind, Promise<Server | Missing>>();
  readonly #running = new Set<Server>();
  readonly #readyMs = new Map<ServerKind, number>();

  constructor(allowed: boolean, folder: () => string, startKeeper: () => Promise<Child>) {
    this.#allowed = allowed;
    this.#folder = folder;
    this.#startKeeper = startKeeper;
  }

  get(kind: ServerKind): Promise<Server | Missing> {
    let server = this.#servers.get(kind);
    if (server === undefined) {
      server = this.#start(kind);
      this.#servers.set(kind, server);
    }
    return server;
  }

  /** A second one of the kind, for a scenario that crashes it or looks at its memory. */
  async own(kind: ServerKind): Promise<Server | Missing> {
    return this.#start(kind);
  }

  /** How long the first of the kind took until it answered. */
  readyMs(kind: ServerKind): number | undefined {
    return this.#readyMs.get(kind);
  }

  async stop(): Promise<void> {
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
      return server;
    } catch (error) {
      return { missing: error instanceof Error ? error.message : String(error) };
    }
  }
}
