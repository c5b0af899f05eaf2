/** Peers that break the rules: bare TCP clients, and a bare ZeroMQ socket that speaks frames by hand. */
import { connect } from "node:net";
import { Dealer } from "zeromq";
import { decodeFrame, encodeFrame, type Frame } from "../../src/wire/frames.ts";
import type { HelloFrame } from "../../src/wire/handshake.ts";
import { firstHello } from "../frames-by-hand.ts";

const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(":") + 1));

/** ZMTP 3.0 greeting with mechanism NULL, and the READY command of a DEALER. */
export const ZMTP_HANDSHAKE = Buffer.concat([
  Buffer.from([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0]),
  Buffer.from("NULL".padEnd(20, "\0"), "latin1"),
  Buffer.alloc(32),
  Buffer.from([0x04, 28]),
  Buffer.from("\x05READY\x0bSocket-Type\0\0\0\x06DEALER", "latin1"),
]);
/** A long frame of 2 GiB. */
export const HUGE_FRAME = Buffer.from("02000000007fffffff", "hex");

/** Writes the bytes, and `afterReady` once the node's handshake came; resolves when the node has closed. */
export const rudeClient = (
  address: string,
  bytes: Uint8Array,
  afterReady?: Uint8Array,
): Promise<void> =>
  new Promise((resolve) => {
    const socket = connect(portOf(address), "127.0.0.1");
    let heard = "";
    let left = afterReady;
    socket.on("error", () => {});
    socket.on("connect", () => socket.write(bytes));
    socket.on("data", (chunk) => {
      heard += chunk.toString("latin1");
      if (left === undefined || !heard.includes("READY")) return;
      socket.write(left);
      left = undefined;
    });
    socket.on("close", () => resolve());
  });

export class RoguePeer {
  readonly #dealer: Dealer;

  constructor(address: string) {
    this.#dealer = new Dealer({ linger: 0 });
    this.#dealer.connect(address.replace("zmq:", "tcp:"));
  }

  async send(bytes: Uint8Array): Promise<void> {
    await this.#dealer.send(bytes);
  }

  /** The next frame that matches; undefined when the node closed the connection before. */
  async receive(type: Frame["type"]): Promise<Frame | undefined> {
    for (;;) {
      const [bytes] = await this.#dealer.receive();
      if (bytes === undefined || bytes.length === 0) return undefined;
      const frame = decodeFrame(bytes);
      if (frame.type === type) return frame;
    }
  }

  /** Resolves with the code of the node's farewell (or "") once it has closed the connection. */
  async closed(): Promise<string> {
    let code = "";
    for (;;) {
      const [bytes] = await this.#dealer.receive();
      if (bytes === undefined || bytes.length === 0) return code;
      const frame = decodeFrame(bytes);
      if (frame.type === "bye" || frame.type === "reject") code = frame.code;
    }
  }

  end(): void {
    this.#dealer.close();
  }
}

/** A Hello as a well-behaved node of the mesh would say it. */
export const helloOf = (mesh: string, changes: Partial<HelloFrame["identity"]> = {}): Uint8Array =>
  encodeFrame(firstHello({ mesh, ...changes }));
