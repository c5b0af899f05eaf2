import { beforeEach, describe, expect, it } from "vitest";
import type { MeshError } from "../../../src/errors.ts";
import type { Connection, ConnectionEvents } from "../../../src/ports/transport.ts";
import { PacedConnection } from "../../../src/runtime/link/paced-connection.ts";
import { VirtualClock } from "../../mesh/virtual-clock.ts";

const KIB = 1_024;

/** A connection that the test is the other end of. */
class Wire implements Connection {
  readonly remote = "there";
  readonly bufferedBytes = 7;
  readonly sent: Uint8Array[] = [];
  events: ConnectionEvents | undefined;
  reads = true;
  isClosed = false;

  send(frame: Uint8Array): void {
    this.sent.push(frame);
  }
  pause(): void {
    this.reads = false;
  }
  resume(): void {
    this.reads = true;
  }
  close(): void {
    this.isClosed = true;
  }
  open(events: ConnectionEvents): void {
    this.events = events;
  }
}

let clock: VirtualClock;
let wire: Wire;
let paced: PacedConnection;
let isPaced: boolean;
let taken: number[];
let ends: (MeshError | undefined)[];

beforeEach(() => {
  clock = new VirtualClock();
  wire = new Wire();
  paced = new PacedConnection(wire, clock);
  isPaced = false;
  taken = [];
  ends = [];
  paced.isPaced = () => isPaced;
  paced.open({
    frame: (bytes) => void taken.push(bytes[0] ?? -1),
    drained: () => {},
    closed: (reason) => void ends.push(reason),
  });
});

const comes = (first: number, count: number, bytes = 1): void => {
  for (let n = first; n < first + count; n++) wire.events?.frame(new Uint8Array(bytes).fill(n));
};
const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

describe("a connection of a peer that has a quota", () => {
  it("hands frames on as they come while the peer is within it", () => {
    comes(0, 200);
    expect(taken).toEqual(numbers(200));
  });

  it("takes 16 every 10 ms of one that must wait, in order, and the rest when it may go on", async () => {
    isPaced = true;
    comes(0, 100);
    expect(taken.length).toBeLessThanOrEqual(16);
    await clock.advance(30);
    expect(taken.length).toBeGreaterThan(32);
    expect(taken.length).toBeLessThanOrEqual(64);
    isPaced = false;
    await clock.advance(11);
    comes(100, 10);
    await clock.advance(1);
    expect(taken).toEqual(numbers(110));
  });

  it("takes 64 KiB of them at most, or one that is larger", async () => {
    isPaced = true;
    comes(0, 1, 200 * KIB);
    comes(1, 10, 40 * KIB);
    expect(taken).toEqual([0]);
    await clock.advance(10);
    expect(taken).toEqual([0, 1, 2]);
  });

  it("does not read on above a mebibyte, until half of it is gone", async () => {
    isPaced = true;
    comes(0, 100, 16 * KIB);
    expect(wire.reads).toBe(false);
    await clock.advance(90);
    expect(wire.reads).toBe(false);
    await clock.advance(100);
    expect(wire.reads).toBe(true);
    await clock.advance(200);
    expect(taken).toEqual(numbers(100));
  });

  it("ends where 64 MiB wait all the same, as of a transport that cannot stop reading", () => {
    isPaced = true;
    comes(0, 70, 1_024 * KIB);
    expect(wire.isClosed).toBe(true);
    expect(ends.map((reason) => reason?.code)).toEqual(["PEER_LOST"]);
    wire.events?.closed();
    expect(ends.length).toBe(1);
  });

  it("says nothing after its end, whoever ended it", async () => {
    isPaced = true;
    comes(0, 100, 16 * KIB);
    const before = taken.length;
    paced.close();
    expect([wire.isClosed, wire.reads]).toEqual([true, true]);
    await clock.advance(100);
    expect(taken.length).toBe(before);
  });

  it("is the connection in everything else", () => {
    paced.send(new Uint8Array(3));
    expect([paced.remote, paced.bufferedBytes, wire.sent.length]).toEqual(["there", 7, 1]);
    wire.events?.closed();
    expect(ends).toEqual([undefined]);
  });
});
