import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BatchWriter } from "../../src/wire/batch-writer.ts";
import { EnvelopeTemplate, UnwrittenEnvelope } from "../../src/wire/envelope.ts";
import { decodeFrame, encodeFrame } from "../../src/wire/frames.ts";
import { headOfBatch, headOfReply, headOfRequest } from "../../src/wire/large-frame.ts";
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

  it("are the request that is written at once", () => {
    const text = fc.string({ minLength: 1, maxLength: 20 });
    const variables = fc.record({
      key: fc.option(text, { nil: undefined }),
      time: fc.record({ ms: fc.nat(2 ** 47), counter: fc.nat(0xffff) }),
      headers: fc.option(fc.dictionary(text, text, { maxKeys: 3 }), { nil: undefined }),
      correlationId: fc.option(text, { nil: undefined }),
      payload: some,
    });
    fc.assert(
      fc.property(FRAME_ARBITRARIES.request, variables, ({ envelope: _, ...frame }, fields) => {
        const template = new EnvelopeTemplate({ subject: "large.ask", kind: 2 });
        const request = { ...frame, envelope: new UnwrittenEnvelope(template, fields) };
        const large = Buffer.concat([headOfRequest(request), fields.payload]);
        expect(decodeFrame(large)).toEqual(decodeFrame(encodeFrame(request)));
      }),
      RUNS,
    );
  });

  it("are the reply that is written at once", () => {
    fc.assert(
      fc.property(FRAME_ARBITRARIES.reply, some, (frame, payload) => {
        const reply = { ...frame, payload };
        const large = Buffer.concat([headOfReply(reply), payload]);
        expect(decodeFrame(large)).toEqual(decodeFrame(encodeFrame(reply)));
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
