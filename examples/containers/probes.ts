/**
 * The HTTP side of a container: its probes, and what the service itself answers.
 *
 * `/live`: the event loop turns. `/ready`: the node accepts messages. It says nothing about peers: a node that is
 * alone accepts and keeps, and one that waited for peers to be ready would wait for those that wait for it.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { MeshNode } from "meshbus";

export type Answer = { readonly status: number; readonly body: unknown };
/** Undefined: there is nothing at that path. */
export type Route = (method: string, path: string, body: string) => Promise<Answer | undefined>;

const BODY_BYTES_MAX = 64 * 1024;

export class Probes {
  readonly #server: Server;
  #node: MeshNode | undefined;
  #route: Route = async () => undefined;

  constructor() {
    this.#server = createServer((request, response) => {
      const answer = (found: Answer | undefined): void => {
        const { status, body } = found ?? { status: 404, body: { error: "nothing is here" } };
        response.writeHead(status, { "content-type": "application/json" });
        response.end(`${JSON.stringify(body)}\n`);
      };
      this.#answer(request).then(answer, (error: unknown) => {
        answer({ status: 503, body: { error: error instanceof Error ? error.message : error } });
      });
    });
  }

  async listen(host: string, port: number): Promise<string> {
    this.#server.listen(port, host);
    await once(this.#server, "listening");
    const { address, port: bound } = this.#server.address() as AddressInfo;
    return `http://${address}:${bound}`;
  }

  /** From now on it is ready whenever the node is. */
  started(node: MeshNode, route: Route): void {
    this.#node = node;
    this.#route = route;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request: IncomingMessage): Promise<Answer | undefined> {
    const { method = "", url = "" } = request;
    if (method === "GET" && url === "/live") return { status: 200, body: { live: true } };
    if (method === "GET" && url === "/ready") return this.#readiness();
    return this.#route(method, url, await bodyOf(request));
  }

  #readiness(): Answer {
    const node = this.#node;
    if (node === undefined) return { status: 503, body: { ready: false, reasons: ["starting"] } };
    const { ready, reasons } = node.health();
    const peers = node.peers().filter(({ state }) => state === "alive").length;
    return { status: ready ? 200 : 503, body: { ready, reasons, node: node.id, peers } };
  }
}

const bodyOf = async (request: IncomingMessage): Promise<string> => {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request) {
    parts.push(part as Buffer);
    bytes += (part as Buffer).length;
    if (bytes > BODY_BYTES_MAX) throw new Error(`a body of more than ${BODY_BYTES_MAX} B`);
  }
  return Buffer.concat(parts).toString();
};
