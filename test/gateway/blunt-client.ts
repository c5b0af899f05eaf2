/** HTTP/2 by hand: a client that does what no gRPC library would, or dies in the middle of it. */
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { connect as connectSocket, type Socket } from "node:net";
import { until } from "../integration/until.ts";
import { type Delivery, gatewayMethod, type Heard, type Said } from "./raw-client.ts";

export class BluntCall {
  readonly stream: ClientHttp2Stream;
  readonly heard: Heard[] = [];
  isOver = false;
  readonly #name: string;
  #bytes = Buffer.alloc(0);

  constructor(stream: ClientHttp2Stream, name: string, reads: boolean) {
    this.stream = stream;
    this.#name = name;
    stream.on("error", () => {});
    stream.on("close", () => {
      this.isOver = true;
    });
    if (reads) stream.on("data", (chunk: Buffer) => this.#read(chunk));
    else stream.pause();
  }

  say(message: Said): void {
    const body = gatewayMethod(this.#name).requestSerialize(message);
    const head = Buffer.alloc(5);
    head.writeUInt32BE(body.length, 1);
    this.stream.write(Buffer.concat([head, body]));
  }

  get deliveries(): Delivery[] {
    return this.heard.flatMap(({ deliveries }) => deliveries);
  }

  async opened(): Promise<this> {
    await until("the stream is open", () => this.heard.some(({ opened }) => opened));
    return this;
  }

  #read(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    while (this.#bytes.length >= 5 && this.#bytes.length >= 5 + this.#bytes.readUInt32BE(1)) {
      const end = 5 + this.#bytes.readUInt32BE(1);
      this.heard.push(gatewayMethod(this.#name).responseDeserialize(this.#bytes.subarray(5, end)));
      this.#bytes = this.#bytes.subarray(end);
    }
  }
}

export class BluntClient {
  readonly #socket: Socket;
  readonly #session: ClientHttp2Session;
  isOver = false;

  /** `windowBytes`: what it lets the gateway send on a call that it does not read. */
  constructor(address: string, windowBytes = 65_535) {
    const { hostname, port } = new URL(address.replace("grpc://", "http://"));
    this.#socket = connectSocket(Number(port), hostname);
    this.#session = connect(`http://${hostname}:${port}`, {
      settings: { initialWindowSize: windowBytes },
      createConnection: () => this.#socket,
    });
    this.#session.on("error", () => {});
    this.#session.on("close", () => {
      this.isOver = true;
    });
  }

  call(name: string, reads = true): BluntCall {
    const stream = this.#session.request({
      ":method": "POST",
      ":path": gatewayMethod(name).path,
      "content-type": "application/grpc",
      te: "trailers",
    });
    return new BluntCall(stream, name, reads);
  }

  /** Its connection breaks, as if its process were killed. */
  die(): void {
    this.#socket.destroy();
  }
}
