import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BatchWriter } from "../../src/wire/batch-writer.ts";
import { decodeFrame } from "../../src/wire/frames.ts";
import { headOfBatch } from "../../src/wire/large-frame.ts";
import { headOfPiece } from "../../src/wire/piece.ts";
import { bytes, FRAME_ARBITRARIES, uint32, uint53 } from "./frame-arbitraries.ts";
import { decodeComparable, oracleDecodeFrame } from "./proto-oracle.ts";

const some = bytes.filter(({ length }) => length > 0);
const RUNS = { numRuns: 200 };

describe("the head of a large frame, and then its bytes,", () => {
  it("are the batch of one message that a BatchWriter would write, but for padding", () => {
    const section = fc.record({
      subscription: uint32,
      first: uint53,
      epoch: uint32,
      volatile: fc.boolean(),
      floorEpoch: uint32,
      floorSeq: uint53,
      term: uint53,
    });
    const how = fc.record({
      seq: uint53,
      keyHash: fc.oneof(uint32, fc.constant(-1)),
      attempts: uint32,
      skip: uint32,
      remainingMs: fc.oneof(uint32, fc.constant(-1)),
      resume: fc.boolean(),
    });
    fc.assert(
      fc.property(uint32, section, how, some, (session, head, delivery, envelope) => {
        const writer = new BatchWriter();
        writer.begin(session);
        writer.beginSection(head);
        const { seq, keyHash, attempts, skip, remainingMs, resume } = delivery;
        const to = envelope.length;
        writer.delivery(seq, keyHash, attempts, skip, remainingMs, resume, envelope, 0, to);
        const whole = writer.finish();
        const large = Buffer.concat([headOfBatch(session, head, delivery, to), envelope]);
        expect(decodeComparable(large)).toEqual(decodeComparable(whole));
        expect(oracleDecodeFrame(large)).toEqual(oracleDecodeFrame(whole));
      }),
      RUNS,
    );
  });

  it("are the piece that is written at once", () => {
    fc.assert(
      fc.property(FRAME_ARBITRARIES.piece, some, (piece, data) => {
        const { session, lane, total, offset } = piece;
        const head = headOfPiece(session, lane, { total, offset }, data.length);
        const written = Buffer.concat([head, data]);
        expect(decodeFrame(written)).toEqual({ ...piece, data });
      }),
      RUNS,
    );
  });
});
