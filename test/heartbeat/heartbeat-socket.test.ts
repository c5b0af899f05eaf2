/** What strangers, and whoever listens in, can do to a heartbeat: nothing but be counted. */

import { randomBytes } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { seal, sealKey } from "../../src/heartbeat/datagram-seal.ts";
import { HeartbeatSocket } from "../../src/heartbeat/heartbeat-socket.ts";
import {
  BOARD_COUNTS,
  type BoardCount,
  boardBuffer,
  nowUs,
  PulseBoard,
} from "../../src/heartbeat/pulse-board.ts";
import { parseUdpAddress } from "../../src/heartbeat/udp-address.ts";
import {
  DATAGRAM_BYTES,
  type HeartbeatDatagram,
  readDatagram,
  writeDatagram,
} from "../../src/wire/heartbeat-datagram.ts";
import { until } from "../integration/until.ts";

const SELF = "00000000000000000000";
const PEER = "11111111111111111111";
const INTERVAL_MS = 20;

/** The peer, spoken for by hand. */
class HandMade {
  readonly socket: Socket = createSocket("udp4");
  readonly heard: HeartbeatDatagram[] = [];
  readonly raw: Uint8Array[] = [];

  async open(): Promise<string> {
    this.socket.bind(0, "127.0.0.1");
    await once(this.socket, "listening");
    this.socket.on("message", (bytes) => {
      this.raw.push(bytes);
      this.heard.push(readDatagram(bytes) as HeartbeatDatagram);
    });
    return `udp://127.0.0.1:${this.socket.address().port}`;
  }

  of(kind: HeartbeatDatagram["kind"]): HeartbeatDatagram[] {
    return this.heard.filter((datagram) => datagram.kind === kind);
  }
}

let socket: HeartbeatSocket;
let board: PulseBoard;
let port = 0;
let peer: HandMade;
const nonce = randomBytes(16);
const peerNonce = randomBytes(16);
const counted = new Map<BoardCount, number>();

beforeEach(async () => {
  board = new PulseBoard(boardBuffer(4));
  board.turn();
  socket = new HeartbeatSocket({ nodeId: SELF, nonce }, board, INTERVAL_MS);
  port = parseUdpAddress(await socket.open({ host: "127.0.0.1", port: 0 }))?.port as number;
  peer = new HandMade();
  socket.watch({ slot: 0, nodeId: PEER, nonce: peerNonce, address: await peer.open() });
  counted.clear();
});
afterEach(() => {
  socket.close();
  peer.socket.close();
});

const count = (name: BoardCount): number => {
  board.eachCount((each, times) => counted.set(each, (counted.get(each) ?? 0) + times));
  return counted.get(name) ?? 0;
};

const counts = (name: BoardCount, times: number): Promise<void> =>
  until(`${times} counted as ${name}`, () => count(name) >= times);

const send = (bytes: Uint8Array): void => peer.socket.send(bytes, port, "127.0.0.1");

const made = (change: Partial<HeartbeatDatagram> & { key?: Uint8Array } = {}): Uint8Array => {
  const { key = sealKey(peerNonce, nonce), ...fields } = change;
  const datagram = { lagMs: 0, sentUs: nowUs(), from: PEER, to: SELF, ...fields };
  return seal(writeDatagram({ kind: "question", ...datagram }), key);
};

/** The peer asks and is answered, and answers and is heard. */
const goesOn = async (): Promise<void> => {
  const sentUs = nowUs();
  const before = answeredSentMs();
  send(made({ sentUs }));
  await until("an answer", () => peer.of("answer").some((answer) => answer.sentUs === sentUs));
  const question = await newQuestion();
  send(made({ kind: "answer", sentUs: question.sentUs }));
  await until("heard", () => answeredSentMs() > before + 1);
};

const answeredSentMs = (): number => performance.now() - board.answeredAgeMs();

const newQuestion = async (): Promise<HeartbeatDatagram> => {
  const { length } = peer.of("question");
  await until("a question", () => peer.of("question").length > length);
  return peer.of("question").at(-1) as HeartbeatDatagram;
};

describe("a heartbeat's port", () => {
  it("asks and answers its peer, and tells for how long the loop has not turned", async () => {
    await goesOn();
    await goesOn();
    await until("a lag", async () => {
      send(made());
      return (peer.of("answer").at(-1)?.lagMs ?? 0) > 200; // nobody calls board.turn()
    });
    const { sentUs } = await newQuestion();
    send(made({ kind: "answer", sentUs, lagMs: 5_000 }));
    await until("the peer's lag", () => (board.pulse(0)?.lagMs ?? 0) > 4_999);
    for (const name of BOARD_COUNTS) expect(count(name)).toBe(0);
  });

  it("counts garbage, halves, and datagrams that are too long", async () => {
    const whole = made();
    const wrong = [
      randomBytes(DATAGRAM_BYTES),
      randomBytes(1),
      new Uint8Array(0),
      whole.subarray(0, 40),
      whole.subarray(0, DATAGRAM_BYTES - 1),
      Buffer.concat([whole, whole]),
      randomBytes(60_000),
      Buffer.from("GET / HTTP/1.1\r\n\r\n"),
      writeDatagram({ kind: "answer", lagMs: 0, sentUs: 1n, from: PEER, to: SELF }).fill(9, 4, 5),
    ];
    for (const bytes of wrong) send(bytes);
    await counts("heartbeat.malformed", wrong.length);
    expect(peer.of("answer")).toEqual([]);
    await goesOn();
  });

  it("does not answer who is not watched, nor for another node", async () => {
    send(made({ from: "22222222222222222222" }));
    send(made({ to: "22222222222222222222" }));
    await counts("heartbeat.stranger", 2);
    expect(peer.of("answer")).toEqual([]);
    await goesOn();
  });

  it("takes nothing from who does not know both nonces: an earlier life, a stranger, a mirror", async () => {
    for (const key of [
      sealKey(randomBytes(16), nonce),
      sealKey(peerNonce, randomBytes(16)),
      sealKey(nonce, peerNonce),
      new Uint8Array(32),
    ]) {
      send(made({ key }));
      const { sentUs } = await newQuestion();
      send(made({ key, kind: "answer", sentUs }));
    }
    const sealed = made();
    sealed[9] = 1; // a changed lag
    send(sealed);
    await counts("heartbeat.forged", 9);
    await newQuestion();
    send(peer.raw.at(-1) as Uint8Array); // its own question, sent back
    await counts("heartbeat.stranger", 1);
    expect(peer.of("answer")).toEqual([]);
    expect(board.pulse(0)).toBeUndefined();
    await goesOn();
  });

  it("takes nothing twice, and nothing from the future: a recording keeps no dead node alive", async () => {
    const question = made();
    send(question);
    await until("an answer", () => peer.of("answer").length === 1);
    send(question);
    await counts("heartbeat.stale", 1);
    const { sentUs } = await newQuestion();
    const answer = made({ kind: "answer", sentUs });
    send(answer);
    await until("heard", () => board.pulse(0) !== undefined);
    send(answer);
    await counts("heartbeat.stale", 2);
    send(made({ kind: "answer", sentUs: nowUs() + 60_000_000n }));
    await counts("heartbeat.stale", 3);
    expect(peer.of("answer")).toHaveLength(1);
    await goesOn();
  });

  it("goes on for its peer while a thousand sockets send rubbish", async () => {
    const crowd = Array.from({ length: 1_000 }, () => createSocket("udp4"));
    const rubbish = [randomBytes(DATAGRAM_BYTES), made({ from: "22222222222222222222" })];
    for (const each of crowd) {
      for (const bytes of rubbish) each.send(bytes, port, "127.0.0.1");
    }
    await goesOn();
    await until("all counted or dropped by the system", async () => {
      for (const each of crowd.slice(0, 10)) each.send(rubbish[0] as Buffer, port, "127.0.0.1");
      return count("heartbeat.malformed") >= 1_000;
    });
    await goesOn();
    for (const each of crowd) each.close();
  });

  it("asks nobody whose address is none", async () => {
    for (const address of ["", "udp://", "udp://127.0.0.1:0", "tcp://127.0.0.1:1", "udp://a:b:1"]) {
      socket.watch({ slot: 1, nodeId: "33333333333333333333", nonce: peerNonce, address });
    }
    await counts("heartbeat.malformed", 5);
    await goesOn();
  });

  it("looks up the name of a peer", async () => {
    const { port: at } = peer.socket.address();
    socket.watch({ slot: 0, nodeId: PEER, nonce: peerNonce, address: `udp://localhost:${at}` });
    await goesOn();
  });

  it("takes a free port where the one it should have is taken", async () => {
    const other = new HeartbeatSocket({ nodeId: PEER, nonce: peerNonce }, board, INTERVAL_MS);
    const address = parseUdpAddress(await other.open({ host: "127.0.0.1", port }));
    expect(address?.port).not.toBe(port);
    other.close();
  });
});
