/** A name server on loopback that answers, over UDP, what its records say; or nothing, or with a failure. */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import dnsPacket from "dns-packet";

export type Records = Record<
  string,
  readonly (string | { port: number; target: string; priority?: number })[]
>;

export class NameServer implements AsyncDisposable {
  /** "A name" -> addresses, "SRV name" -> targets. */
  records: Records = {};
  /** "answer", "silent", or "fail" (SERVFAIL); or for one type of record. */
  mode: "answer" | "silent" | "fail" | { readonly silentFor: string } = "answer";
  /** Questions, "A name", in order. */
  readonly asked: string[] = [];
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("message", (bytes, { address, port }) => {
      const answer = this.#answer(bytes);
      if (answer !== undefined) socket.send(answer, port, address);
    });
  }

  static async start(): Promise<NameServer> {
    const socket = createSocket("udp4");
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    return new NameServer(socket);
  }

  get address(): string {
    return `127.0.0.1:${this.#socket.address().port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await once(this.#socket, "close");
  }

  #answer(bytes: Buffer): Buffer | undefined {
    const { id, questions = [] } = dnsPacket.decode(bytes);
    const [question] = questions;
    if (question === undefined) return undefined;
    const { name, type } = question;
    const key = `${type} ${name}`;
    this.asked.push(key);
    const { mode } = this;
    if (mode === "silent" || (typeof mode === "object" && mode.silentFor === type))
      return undefined;
    const found = this.records[key] ?? [];
    const isKnown = Object.keys(this.records).some((each) => each.endsWith(` ${name}`));
    const code = mode === "fail" ? 2 : isKnown ? 0 : 3; // RFC 1035: SERVFAIL, NOERROR, NXDOMAIN
    const answers = mode === "fail" ? [] : found.map((data) => record(name, type, data));
    return dnsPacket.encode({
      id: id ?? 0,
      type: "response",
      flags: dnsPacket.RECURSION_DESIRED | dnsPacket.RECURSION_AVAILABLE | code,
      questions,
      answers,
    });
  }
}

const record = (name: string, type: string, data: Records[string][number]): dnsPacket.Answer => {
  if (typeof data === "string") return { name, type: type as "A" | "AAAA", ttl: 1, data };
  const { port, target, priority = 0 } = data;
  return { name, type: "SRV", ttl: 1, data: { port, target, priority, weight: 0 } };
};
