/**
 * A store of the user's own that handlers write to, and that takes fences seriously: a write with a
 * smaller fence than its key has seen is refused. It stands for a database with a column `fence` and
 * `update ... where fence <= $1`. One JSON object a line over a Unix socket.
 */
import { connect, createServer, type Server } from "node:net";
import { createInterface } from "node:readline";

export type Write = {
  readonly run: string;
  readonly key: string;
  /** Decimal: JSON has no bigint. */
  readonly fence: string;
};

type Ask = Write & { readonly call: number };
type Answer = { readonly call: number; readonly accepted: boolean };

export const serveStore = (
  path: string,
  decided: (write: Write, accepted: boolean) => void,
): Promise<Server> => {
  const highest = new Map<string, bigint>();
  const decide = ({ key, fence }: Write): boolean => {
    const given = BigInt(fence);
    if (given < (highest.get(key) ?? 0n)) return false;
    highest.set(key, given);
    return true;
  };
  const server = createServer((socket) => {
    const lines = createInterface({ input: socket });
    for (const end of [socket, lines]) end.on("error", () => {}); // its client was killed
    lines.on("line", (line) => {
      const { call, ...write } = JSON.parse(line) as Ask;
      const accepted = decide(write);
      decided(write, accepted);
      const answer: Answer = { call, accepted };
      socket.write(`${JSON.stringify(answer)}\n`);
    });
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => resolve(server));
  });
};

export class StoreClient {
  readonly #socket;
  readonly #calls = new Map<number, (accepted: boolean) => void>();
  #nextCall = 1;

  constructor(path: string) {
    this.#socket = connect(path);
    createInterface({ input: this.#socket }).on("line", (line) => {
      const { call, accepted } = JSON.parse(line) as Answer;
      this.#calls.get(call)?.(accepted);
      this.#calls.delete(call);
    });
  }

  /** Whether the store took it. */
  write(write: Write): Promise<boolean> {
    const call = this.#nextCall++;
    return new Promise((resolve) => {
      this.#calls.set(call, resolve);
      const ask: Ask = { call, ...write };
      this.#socket.write(`${JSON.stringify(ask)}\n`);
    });
  }

  end(): void {
    this.#socket.end();
  }
}
