/** When what nobody needs is cut from the log. */
import { crc32 } from "node:zlib";
import { expect, it } from "vitest";
import type { Block } from "../../../src/runtime/journal/block.ts";
import { BlockBuilder } from "../../../src/runtime/journal/block-builder.ts";
import { Retention } from "../../../src/runtime/producer/retention.ts";

const MIB = 2 ** 20;

const blockOf = (seq: number): Block => {
  const builder = new BlockBuilder({ bytesMax: MIB, crc32: (bytes) => crc32(bytes) });
  const record = {
    kind: 0 as const,
    subject: "x.y",
    keyHash: -1,
    expireAtMs: -1,
    target: undefined,
    timeMs: seq,
    timeCounter: 0,
  };
  builder.append(record, (writer) => writer.raw(new Uint8Array(MIB)));
  return builder.finish(1, seq);
};

it("is worth its while after 16 MiB, and then anew", () => {
  const log = { head: undefined, logBytes: 0, read: () => undefined };
  const retention = new Retention({ ageMs: 600_000, bytesMax: 8 * MIB }, log, 0);
  const due: number[] = [];
  for (let seq = 1; seq <= 40; seq++) {
    if (!retention.appended(blockOf(seq), seq)) continue;
    due.push(seq);
    const { seq: cut } = retention.cut(seq, { epoch: 1, seq });
    expect(seq - cut).toBe(7);
  }
  expect(due).toEqual([16, 32]);
});
