/** A Batch from its parts, for tests and tools; links use BatchWriter as messages come. */
import type { BatchFrame } from "./batch.ts";
import { BatchWriter } from "./batch-writer.ts";
import type { Bundle } from "./bundle.ts";
import { ByteWriter } from "./byte-writer.ts";

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
    for (const bundle of section.bundles) {
      writer.bundles(encodeBundle(bundle), bundle.rests.length / 2);
    }
  }
  return writer.finish();
};

const encodeBundle = ({ bytes, head, rests, keyHashes }: Bundle): Uint8Array => {
  const writer = new ByteWriter();
  writer.tag(0x82);
  const start = writer.open(1);
  writer.byte(0x0a);
  writer.bytes(head.rawBytes());
  for (let at = 0; at < rests.length; at += 2) {
    writer.byte(0x7a);
    writer.bytes(bytes.subarray(rests[at], rests[at + 1]));
  }
  if (keyHashes.length > 0) {
    writer.byte(0x12);
    writer.uint64(4 * keyHashes.length);
    for (const hash of keyHashes) writer.fixed32(hash);
  }
  writer.close(start, 1);
  return writer.take();
};
