/** What can go wrong where large frames travel in pieces. */
import type { Mutant } from "./mutant.ts";

export const LINK_MUTANTS: readonly Mutant[] = [
  {
    name: "lets-batches-pass-a-large-one",
    promise: "G2",
    does: "sends a small batch while a large one before it is on its way",
    file: "src/core/piece-sender.ts",
    anchor: "bytes <= this.#sizes.wholeBytesMax && this.#lanes[lane].length === 0;",
    replacement: "bytes <= this.#sizes.wholeBytesMax && this.#lanes[lane].length >= 0;",
    caughtBy: {
      by: "test",
      file: "test/core/piece-sender.test.ts",
      test: "lets a small frame wait for the large one before it, and then go whole",
    },
  },
  {
    name: "tells-tails-of-what-waits",
    promise: "G1",
    does: "says in a heartbeat that a message was sent which still waits behind its pieces",
    file: "src/runtime/link/link-pieces.ts",
    anchor: "return this.#holdsBulk ? { ...said, tails: [] } : said;",
    replacement: "return said;",
    caughtBy: {
      by: "test",
      file: "test/mesh/large-frames.test.ts",
      test: "is not told of a tail that still waits, so that nothing looks lost",
    },
  },
  {
    name: "believes-where-a-piece-belongs",
    promise: "G6",
    does: "takes a piece wherever it says that it belongs",
    file: "src/core/piece-assembler.ts",
    anchor: "offset !== expected ||",
    replacement: "offset > total ||",
    caughtBy: {
      by: "test",
      file: "test/core/piece-assembler.test.ts",
      test: "gives nothing for a frame with a gap",
    },
  },
  {
    name: "waits-for-ever-for-a-piece",
    promise: "G6",
    does: "keeps a link whose peer never sends the rest of a frame",
    file: "src/runtime/link/link-pieces.ts",
    anchor: "else if (this.#isHeard) this.#stillBeats++;",
    replacement: "else if (this.#isHeard) this.#stillBeats = 1;",
    caughtBy: {
      by: "test",
      file: "test/mesh/large-frames.test.ts",
      test: "and never ends is cut off although its heart beats",
    },
  },
];
