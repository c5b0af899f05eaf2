/** The transport port over the simulated network. Addresses are "sim://<host>:<port>". */
import { MeshError } from "../errors.ts";
import type {
  Connection,
  Listener,
  ListenOptions,
  Transport,
  TransportContext,
} from "../ports/transport.ts";
import type { VirtualConnection } from "./virtual-connection.ts";
import type { VirtualNetwork } from "./virtual-network.ts";
import type { VirtualProcess } from "./virtual-process.ts";

export class VirtualTransport implements Transport {
  readonly scheme = "sim";
  readonly preference = 1;
  readonly #network: VirtualNetwork;
  readonly #host: string;
  readonly #process: VirtualProcess;
  readonly #addresses = new Set<string>();
  readonly #connections = new Set<VirtualConnection>();
  #frameBytesMax = 0;
  #stopped = false;

  constructor(network: VirtualNetwork, host: string, process: VirtualProcess) {
    this.#network = network;
    this.#host = host;
    this.#process = process;
  }

  async start(context: TransportContext): Promise<void> {
    this.#frameBytesMax = context.frameBytesMax;
  }

  /** The host of the options is ignored: a node listens on its own simulated host. */
  async listen(
    { port }: ListenOptions,
    accept: (connection: Connection) => void,
  ): Promise<Listener> {
    const address = this.#network.listen(this.#host, port, this.#process, (connection) => {
      this.#connections.add(connection);
      accept(connection);
    });
    this.#addresses.add(address);
    return {
      address,
      close: async () => {
        this.#addresses.delete(address);
        this.#network.unlisten(address);
      },
    };
  }

  async dial(address: string, { timeoutMs }: { timeoutMs: number }): Promise<Connection> {
    if (this.#stopped) throw new MeshError("STOPPED", "the transport has stopped");
    const from = { host: this.#host, process: this.#process };
    const connection = await this.#network.dial(from, address, timeoutMs, this.#frameBytesMax);
    this.#connections.add(connection);
    return connection;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const address of this.#addresses) this.#network.unlisten(address);
    for (const connection of this.#connections) connection.close();
  }
}
