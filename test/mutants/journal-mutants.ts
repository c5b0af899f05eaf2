/** What can go wrong between a call and the disk. */
import type { Mutant } from "./mutant.ts";

export const JOURNAL_MUTANTS: readonly Mutant[] = [
  {
    name: "accepts-before-sync",
    promise: "G1",
    does: "resolves publish and send before the message is on disk",
    file: "src/mesh/publisher.ts",
    anchor: `  #durable(receipt: Receipt, undo: (() => void) | undefined): Promise<Receipt> {
    return new Promise((resolve, reject) => {`,
    replacement: `  #durable(receipt: Receipt, undo: (() => void) | undefined): Promise<Receipt> {
    return new Promise((resolve, reject) => {
      resolve(receipt);`,
    caughtBy: { by: "simulation", checks: ["C10"] },
  },
  {
    name: "resets-sequence-at-restart",
    promise: "G1",
    does: "goes on in the epoch before after a restart, with positions from 1 again",
    file: "src/runtime/journal/recovery.ts",
    anchor: "nextEpoch(Math.max(before?.epoch ?? 0, logged), clock.wallMs())",
    replacement: "Math.max(before?.epoch ?? 0, logged) || nextEpoch(0, clock.wallMs())",
    caughtBy: { by: "simulation", checks: ["C2"] },
  },
  {
    name: "keeps-epoch-after-failed-sync",
    promise: "G1",
    does: "goes on in the same epoch after a sync failed, in place of the burnt positions",
    file: "src/runtime/journal/log-commit.ts",
    anchor: "if (lost) this.beginEpoch(this.#writer.epoch);",
    replacement: "if (lost) this.#writer.beginEpoch(this.#writer.epoch);",
    caughtBy: { by: "simulation", checks: ["C2"] },
  },
  {
    name: "trusts-what-a-copy-said",
    promise: "G1",
    does: "does not tell its peers that the life of it they met last is none of its own",
    file: "src/core/session.ts",
    anchor: "return isOwn ? undefined : known.epoch;",
    replacement: "void isOwn;\n  return undefined;",
    caughtBy: { by: "simulation", checks: ["C1"], ground: "cloned-folder" },
  },
  {
    name: "leaves-burnt-blocks",
    promise: "G1",
    does: "does not take back what a failed sync may have written, although it was refused",
    file: "src/runtime/journal/log-commit.ts",
    anchor:
      "for (const block of blocks) this.#burnt.push({ epoch: block.epoch, seq: block.firstSeq });",
    replacement: "",
    caughtBy: { by: "simulation", checks: ["C2", "ledger"], ground: "repeated" },
  },
  {
    name: "forgets-who-waited-behind-a-failed-sync",
    promise: "G1",
    does: "does not tell the batch that gathered behind a failed sync",
    file: "src/runtime/journal/committer.ts",
    anchor: "this.#tell(gathered, behind);",
    replacement: "",
    caughtBy: { by: "simulation", checks: ["C11"] },
  },
  {
    name: "ignores-checksum",
    promise: "G1",
    does: "serves blocks whose checksum is wrong",
    file: "src/runtime/journal/block.ts",
    anchor: "if (view.getUint32(AT.crc, true) !== crc32(bytes.subarray(CRC_FROM))) {",
    replacement: "if (view.getUint32(AT.crc, true) === crc32(bytes.subarray(CRC_FROM)) + 1) {",
    caughtBy: { by: "simulation", checks: ["C2"], ground: "rotten" },
  },
  {
    name: "trims-what-is-pending",
    promise: "G1",
    does: "trims the log up to its head, although a subscription has not settled it",
    file: "src/runtime/producer/producer.ts",
    anchor: "[...this.table.all()].map((state) => state.durableFloor),",
    replacement: "[],",
    caughtBy: { by: "simulation", checks: ["C1", "ledger"], ground: "tight" },
  },
  {
    name: "repeats-an-idempotent-call",
    promise: "G1",
    does: "accepts a second message for an idempotency key it knows",
    file: "src/mesh/publisher.ts",
    anchor:
      "idempotencyKey === undefined ? undefined : this.#idempotency.find(idempotencyKey, now);",
    replacement: 'undefined as ReturnType<Idempotency["find"]>; void now;',
    caughtBy: { by: "simulation", checks: ["C2"], ground: "repeated" },
  },
  {
    name: "lets-calls-overtake",
    promise: "G2",
    does: "lets a call pass an earlier one of its key that waits for its validation or for room",
    file: "src/mesh/publisher.ts",
    anchor: "if (this.#order.isClear && !(encoded instanceof Promise)) {",
    replacement: "if (!(encoded instanceof Promise)) {",
    caughtBy: {
      by: "test",
      file: "test/mesh/call-order.test.ts",
      test: "are so although earlier calls of the key are still being validated",
    },
  },
  {
    name: "delays-twice",
    promise: "G1",
    does: "appends a delayed message and keeps its row",
    file: "src/runtime/producer/delayed.ts",
    anchor: "if (moved) this.#rows.set(key, undefined);\n    else this.#moving.delete(name);",
    replacement: "if (!moved) this.#moving.delete(name);",
    caughtBy: { by: "simulation", checks: ["C2", "C11"] },
  },
];
