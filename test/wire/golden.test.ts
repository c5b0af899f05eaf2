/**
 * The wire's bytes, pinned. A change here breaks nodes already running and journals already written:
 * when it is meant, golden/*.json changes in the same commit.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { EnvelopeView, encodeEnvelope } from "../../src/wire/envelope.ts";
import { encodeFrame } from "../../src/wire/frames.ts";
import { SAMPLE_ENVELOPES, SAMPLE_FRAMES } from "./frame-samples.ts";
import { comparable, decodeComparable } from "./proto-oracle.ts";

const golden = (name: string): Record<string, string> =>
  JSON.parse(readFileSync(new URL(`./golden/${name}.json`, import.meta.url), "utf8")) as Record<
    string,
    string
  >;
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("golden bytes", () => {
  const frames = golden("frames");
  const envelopes = golden("envelopes");

  it("exist for every frame type and both envelopes", () => {
    expect(Object.keys(frames)).toEqual(Object.keys(SAMPLE_FRAMES));
    expect(Object.keys(envelopes)).toEqual(Object.keys(SAMPLE_ENVELOPES));
  });

  it.each(Object.values(SAMPLE_FRAMES))("of the $type frame are written and read", (frame) => {
    const hex = frames[frame.type] ?? "";
    expect(hexOf(encodeFrame(frame))).toBe(hex);
    expect(decodeComparable(Buffer.from(hex, "hex"))).toEqual(comparable(frame));
  });

  it.each(Object.entries(SAMPLE_ENVELOPES))(
    "of the %s envelope are written and read",
    (name, fields) => {
      const hex = envelopes[name] ?? "";
      expect(hexOf(encodeEnvelope(fields))).toBe(hex);
      const view = new EnvelopeView(Buffer.from(hex, "hex"));
      for (const [field, value] of Object.entries(fields)) {
        if (field !== "headers") expect(view[field as keyof typeof fields]).toEqual(value);
      }
      expect({ ...view.headers }).toEqual(fields.headers ?? {});
    },
  );
});
