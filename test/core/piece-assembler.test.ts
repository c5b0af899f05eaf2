import { describe, expect, it } from "vitest";
import { type Piece, PieceAssembler } from "../../src/core/piece-assembler.ts";

const FRAME_BYTES_MAX = 100;
const text = (data: string): Uint8Array => Buffer.from(data);
const piece = (offset: number, data: string, given: Partial<Piece> = {}): Piece => ({
  lane: "bulk",
  total: 6,
  offset,
  data: text(data),
  ...given,
});

const make = (): { assembler: PieceAssembler; asked: number[] } => {
  const asked: number[] = [];
  const assembler = new PieceAssembler(FRAME_BYTES_MAX, (bytes) => {
    asked.push(bytes);
    return new Uint8Array(bytes);
  });
  return { assembler, asked };
};

describe("PieceAssembler", () => {
  it("gives the frame with its last piece, and asks for room once", () => {
    const { assembler, asked } = make();
    expect(assembler.take(piece(0, "abc"))).toBeUndefined();
    expect(assembler.isHalf).toBe(true);
    expect(assembler.take(piece(3, "d"))).toBeUndefined();
    expect(assembler.take(piece(4, "ef"))).toEqual(new Uint8Array(text("abcdef")));
    expect([asked, assembler.isHalf, assembler.taken]).toEqual([[6], false, 6]);
  });

  it("keeps the lanes apart", () => {
    const { assembler } = make();
    assembler.take(piece(0, "abc"));
    const express = { lane: "express", total: 3 } as const;
    expect(assembler.take(piece(0, "xy", express))).toBeUndefined();
    expect(assembler.take(piece(2, "z", express))).toEqual(new Uint8Array(text("xyz")));
    expect(assembler.take(piece(3, "def"))).toEqual(new Uint8Array(text("abcdef")));
  });

  it.each([
    ["out of order", [piece(3, "def")]],
    ["with one missing", [piece(0, "ab"), piece(3, "def")]],
    ["repeated", [piece(0, "abc"), piece(0, "abc")]],
    ["overlapping", [piece(0, "abc"), piece(2, "cdef")]],
    ["beyond the end", [piece(0, "abc"), piece(3, "defg")]],
    ["empty", [piece(0, "")]],
    ["of nothing", [piece(0, "a", { total: 0 })]],
    ["of another frame before the first is whole", [piece(0, "abc"), piece(0, "x", { total: 9 })]],
    ["of another total", [piece(0, "abc"), piece(3, "def", { total: 7 })]],
  ])("refuses pieces %s", (_what, pieces) => {
    const { assembler } = make();
    const last = pieces.map((one) => assembler.take(one)).at(-1);
    expect(last).toMatchObject({ code: "MALFORMED" });
  });

  it("gives nothing for a frame with a gap", () => {
    const { assembler } = make();
    assembler.take(piece(0, "ab"));
    expect(assembler.take(piece(3, "def"))).toMatchObject({ code: "MALFORMED" });
    expect(assembler.take(piece(4, "ef"))).toMatchObject({ code: "MALFORMED" });
  });

  it("refuses a frame above the limit before it asks for room", () => {
    const { assembler, asked } = make();
    const verdict = assembler.take(piece(0, "abc", { total: FRAME_BYTES_MAX + 1 }));
    expect(verdict).toEqual({
      code: "TOO_LARGE",
      message: "a frame of 101 B in pieces exceeds frameBytesMax 100",
    });
    expect([asked, assembler.isHalf]).toEqual([[], false]);
  });

  it("has at most two frames half there, however many begin", () => {
    const { assembler, asked } = make();
    for (let count = 0; count < 1_000; count++) {
      const lane = count % 2 === 0 ? "bulk" : "express";
      assembler.take(piece(0, "a", { lane, total: FRAME_BYTES_MAX }));
    }
    expect(asked).toEqual([FRAME_BYTES_MAX, FRAME_BYTES_MAX]);
  });
});
