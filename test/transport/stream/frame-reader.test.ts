import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FrameReader, HEADER_BYTES, PREAMBLE } from "../../../src/transport/stream/frame-reader.ts";

const FRAME_BYTES_MAX = 200_000;

const framed = (frame: Uint8Array): Buffer => {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(frame.length);
  return Buffer.concat([header, frame]);
};

/** Bytes of which no two frames have the same. */
const patterned = (size: number, seed: number): Buffer => {
  const bytes = Buffer.allocUnsafe(size);
  for (let at = 0; at < size; at++) bytes[at] = (at >> 8) * 31 + at * 7 + seed * 13;
  return bytes;
};

/** As a socket would: each read brings at most so many bytes, and at most what there is room for. */
const feed = (reader: FrameReader, bytes: Buffer, sizes: readonly number[]): void => {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = Math.max(1, sizes[turn % sizes.length] ?? 1);
    const read = bytes.copy(reader.room(), 0, at, Math.min(bytes.length, at + size));
    at += read;
    reader.filled(read);
  }
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
    const sizes = fc.oneof(fc.nat(300), fc.nat(20_000), fc.nat(70_000), fc.nat(190_000));
    const frames = fc.array(fc.record({ bytes: sizes, isKept: fc.boolean() }), { maxLength: 12 });
    const reads = fc.array(fc.oneof(fc.nat(20), fc.nat(5_000), fc.constant(65_536)), {
      minLength: 1,
      maxLength: 12,
    });
    fc.assert(
      fc.property(frames, reads, fc.boolean(), (sent, sizesOfReads, stops) => {
        const wanted = sent.map(({ bytes }, index) => patterned(bytes + 1, index));
        const kept: { readonly frame: Buffer; readonly index: number }[] = [];
        let count = 0;
        const reader = new FrameReader(FRAME_BYTES_MAX, {
          frame: (frame) => {
            const index = count++;
            expect(frame.equals(wanted[index] ?? Buffer.alloc(0))).toBe(true);
            if (sent[index]?.isKept === false) return "free";
            kept.push({ frame, index });
            return stops && count === sent.length ? "stop" : "kept";
          },
          marker: () => expect.unreachable(),
          malformed: () => expect.unreachable(),
        });
        const bytes = Buffer.concat([PREAMBLE, ...wanted.map(framed)]);
        feed(reader, bytes, sizesOfReads);
        expect(count).toBe(sent.length);
        if (stops && sent.at(-1)?.isKept === true) feed(reader, patterned(200_000, 99), [65_536]);
        for (const { frame, index } of kept) {
          expect(frame.equals(wanted[index] ?? Buffer.alloc(0))).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("reads into the same memory again while nothing is kept, and what is small is kept in memory of its size", () => {
    let last: Buffer = Buffer.alloc(0);
    let verdict: "kept" | "free" = "free";
    const reader = new FrameReader(FRAME_BYTES_MAX, {
      frame: (frame) => {
        last = frame;
        return verdict;
      },
      marker: () => expect.unreachable(),
      malformed: () => expect.unreachable(),
    });
    feed(reader, Buffer.from(PREAMBLE), [8]);
    const memory = new Set<ArrayBufferLike>();
    for (let count = 0; count < 20; count++) {
      memory.add(reader.room().buffer);
      feed(reader, framed(patterned(30_000, count)), [65_536]);
    }
    expect(memory.size).toBe(1);
    // A small one among them is the receiver's, without the room.
    const small: Buffer[] = [];
    for (let count = 0; count < 20; count++) {
      const large = framed(patterned(30_000, count));
      feed(reader, large.subarray(0, 20_000), [65_536]);
      verdict = "free";
      feed(reader, large.subarray(20_000), [65_536]);
      verdict = "kept";
      feed(reader, Buffer.concat([framed(patterned(100, count))]), [65_536]);
      small.push(last);
      memory.add(reader.room().buffer);
    }
    expect(memory.size).toBe(1);
    for (const [at, frame] of small.entries()) expect(frame).toEqual(patterned(100, at));
    for (const size of [1, 100, 5_000, 16_000]) {
      feed(reader, framed(patterned(size, 7)), [65_536]);
      expect(last.buffer.byteLength).toBeLessThanOrEqual(Math.max(Buffer.poolSize, size + 4));
      memory.add(reader.room().buffer);
    }
    expect(memory.size).toBe(1);
  });

  it("reads a large frame to where it stays, but for its beginning", () => {
    const frame = patterned(150_000, 3);
    let got: Buffer | undefined;
    const reader = new FrameReader(FRAME_BYTES_MAX, {
      frame: (one) => {
        got = one;
        return "kept";
      },
      marker: () => expect.unreachable(),
      malformed: () => expect.unreachable(),
    });
    feed(reader, Buffer.from(PREAMBLE), [8]);
    for (let count = 0; count < 3; count++) {
      const bytes = framed(frame);
      const begun = bytes.copy(reader.room());
      reader.filled(begun);
      const room = reader.room();
      expect(room.length).toBe(bytes.length - begun);
      reader.filled(bytes.copy(room, 0, begun));
      expect(got?.equals(frame)).toBe(true);
      expect(got?.buffer).toBe(room.buffer);
    }
    expect(reader.room().length).toBe(4_096); // the next one may be as large
  });

  it("hands over what came before it was open", () => {
    const heard: string[] = [];
    const reader = new FrameReader(FRAME_BYTES_MAX);
    feed(reader, Buffer.concat([PREAMBLE, framed(Buffer.from("early"))]), [3]);
    while (reader.hasRoom)
      feed(reader, framed(patterned(1_000, 1)).subarray(0, reader.room().length), [65_536]);
    reader.open({
      frame: (frame) => {
        heard.push(frame.length === 5 ? frame.toString() : `${frame.length}`);
        return "kept";
      },
      marker: () => expect.unreachable(),
      malformed: () => expect.unreachable(),
    });
    expect(heard).toEqual(["early", ...Array(65).fill("1000")]);
    expect(reader.hasRoom).toBe(true);
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
    reader.push(all);
    reader.push(one);
    expect(count).toBe(2);
  });
});
