/** A Batch from its parts, for tests and tools; links use BatchWriter as messages come. */
import type { BatchFrame } from "./batch.ts";
import { BatchWriter } from "./batch-writer.ts";

export const encodeBatch = (frame: BatchFrame): Uint8Array => {
  const writer = new BatchWriter();
  writer.begin(frame.session);
  for (const section of frame.sections) {
    writer.beginSection(section);
    for (const {
      seq,
      keyHash,
      attempts,
      skip,
      remainingMs,
      resume,
      ...where
    } of section.deliveries) {
      const { bytes, envelopeStart, envelopeEnd } = where;
      writer.delivery(
        seq,
        keyHash,
        attempts,
        skip,
        remainingMs,
        resume,
        bytes,
        envelopeStart,
        envelopeEnd,
      );
    }
  }
  return writer.finish();
};
