import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FrameReader, HEADER_BYTES, PREAMBLE } from "../../../src/transport/stream/frame-reader.ts";

const FRAME_BYTES_MAX = 200_000;

const framed = (frame: Uint8Array): Buffer => {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(frame.length);
  return Buffer.concat([header, frame]);
};

/** What a reader makes of these bytes, cut at these places. */
const read = (
  bytes: Buffer,
  cuts: readonly number[],
  frameBytesMax = FRAME_BYTES_MAX,
): string[] => {
  const heard: string[] = [];
  const reader = new FrameReader(frameBytesMax, {
    frame: (frame) => {
      heard.push(frame.toString("hex"));
      return "kept";
    },
    marker: () => void heard.push("marker"),
    malformed: (what) => void heard.push(`malformed: ${what}`),
  });
  let from = 0;
  for (const to of [...cuts, bytes.length].sort((a, b) => a - b)) {
    if (to > from) reader.push(Buffer.from(bytes.subarray(from, to)));
    from = Math.max(from, to);
  }
  return heard;
};

describe("the frame reader", () => {
  it("finds the same frames however the stream is cut", () => {
    const frames = fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 12 });
    fc.assert(
      fc.property(frames, fc.array(fc.nat(4_000), { maxLength: 40 }), (sent, cuts) => {
        const bytes = Buffer.concat([PREAMBLE, ...sent.map(framed), Buffer.alloc(HEADER_BYTES)]);
        const inside = cuts.map((cut) => cut % (bytes.length + 1));
        const expected = [...sent.map((frame) => Buffer.from(frame).toString("hex")), "marker"];
        expect(read(bytes, inside)).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });

  it("uses no memory again in which a frame lies that is kept", () => {
    const frames = fc.array(
      fc.record({ bytes: fc.uint8Array({ minLength: 1, maxLength: 300 }), isKept: fc.boolean() }),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(frames, fc.array(fc.nat(4_000), { maxLength: 40 }), (sent, cuts) => {
        const kept: Buffer[] = [];
        let count = 0;
        const reader = new FrameReader(FRAME_BYTES_MAX, {
          frame: (frame) => {
            expect(frame).toEqual(Buffer.from(sent[count]?.bytes ?? []));
            if (sent[count++]?.isKept === false) return "free";
            kept.push(frame);
            return "kept";
          },
          marker: () => expect.unreachable(),
          malformed: () => expect.unreachable(),
        });
        const bytes = Buffer.concat([PREAMBLE, ...sent.map((one) => framed(one.bytes))]);
        let from = 0;
        const ends = cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b);
        for (const to of [...ends, bytes.length]) {
          const chunk = Buffer.from(bytes.subarray(from, to));
          if (reader.push(chunk)) chunk.fill(0xee);
          from = to;
        }
        const expected = sent.filter(({ isKept }) => isKept).map((one) => Buffer.from(one.bytes));
        expect(kept).toEqual(expected);
        expect(count).toBe(sent.length);
      }),
      { numRuns: 500 },
    );
  });

  it("puts a large frame together from single bytes and from odd pieces", () => {
    const frame = Buffer.from(Array.from({ length: 150_001 }, (_, index) => index * 7));
    const bytes = Buffer.concat([PREAMBLE, framed(frame), framed(Buffer.from("end"))]);
    const expected = [frame.toString("hex"), Buffer.from("end").toString("hex")];
    expect(read(bytes, Array.from(bytes.keys()))).toEqual(expected);
    expect(read(bytes, [3, 9, 70_000, 70_001, 140_000])).toEqual(expected);
  });

  it("hands nothing over after the close marker", () => {
    const marker = Buffer.alloc(HEADER_BYTES);
    const bytes = Buffer.concat([PREAMBLE, marker, framed(Buffer.from("late")), marker]);
    expect(read(bytes, [])).toEqual(["marker"]);
    expect(read(bytes, Array.from(bytes.keys()))).toEqual(["marker"]);
  });

  it("refuses another protocol at its first wrong byte", () => {
    for (const text of ["GET / HTTP/1.1\r\n\r\n", "meshbus2", "\0\0\0\0\0\0\0\0"]) {
      expect(read(Buffer.from(text), [1, 2, 3])).toEqual(["malformed: another protocol"]);
    }
    expect(read(Buffer.from("meshbus"), [])).toEqual([]);
  });

  it("refuses a frame above the limit when its header is there, whole or in pieces", () => {
    const huge = Buffer.from("7fffffff", "hex");
    const said = "malformed: a frame of 2147483647 B, above frameBytesMax 200000";
    expect(read(Buffer.concat([PREAMBLE, huge]), [])).toEqual([said]);
    expect(read(Buffer.concat([PREAMBLE, huge]), [9, 10, 11])).toEqual([said]);
    expect(read(Buffer.concat([PREAMBLE, framed(Buffer.alloc(11))]), [], 10)).toHaveLength(1);
    expect(read(Buffer.concat([PREAMBLE, framed(Buffer.alloc(10))]), [], 10)).toHaveLength(1);
  });

  it("stops where the sink wants nothing more", () => {
    let count = 0;
    const reader = new FrameReader(FRAME_BYTES_MAX, {
      frame: () => (++count < 2 ? "kept" : "stop"),
      marker: () => expect.unreachable(),
      malformed: () => expect.unreachable(),
    });
    const one = framed(Buffer.from("x"));
    const all = Buffer.concat([PREAMBLE, one, one, one, Buffer.alloc(HEADER_BYTES)]);
    expect(reader.push(all)).toBe(false); // both frames may be kept
    expect(reader.push(one)).toBe(true);
    expect(count).toBe(2);
  });
});
