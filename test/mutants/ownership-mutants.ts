/** What can go wrong with who owns a key. */
import type { Mutant } from "./mutant.ts";

export const OWNERSHIP_MUTANTS: readonly Mutant[] = [
  {
    name: "takes-over-without-lease",
    promise: "G3",
    does: "takes a shard from a holder whose lease has not run out",
    file: "src/core/ownership.ts",
    anchor: 'return this.#view.stateOf(token.holder, nowMs) === "dead" ? taken : "not";',
    replacement: "return taken;",
    caughtBy: { by: "simulation", checks: ["C5", "C8"], ground: "crowd" },
  },
  {
    name: "releases-without-drain",
    promise: "G3",
    does: "releases a shard while handlers of it run",
    file: "src/core/ownership.ts",
    anchor: "if (!input.isDrained(shard)) continue;",
    replacement: "",
    caughtBy: { by: "simulation", checks: ["C5"], ground: "crowd" },
  },
  {
    name: "starts-what-is-not-its-own",
    promise: "G3",
    does: "handles messages of a shard that another has taken: a stale owner is not fenced",
    file: "src/runtime/consumer/owned-work.ts",
    anchor: "if (this.#shards?.mayStart(shard) !== true) {",
    replacement: "if (this.#shards === undefined) {",
    caughtBy: { by: "simulation", checks: ["C5", "C3"], ground: "crowd" },
  },
  {
    name: "forgets-terms",
    promise: "G3",
    does: "starts without the terms of its earlier lives",
    file: "src/runtime/ownership/subscription-tokens.ts",
    anchor: "this.#row.restore(store, nowMs);",
    replacement: "void store;",
    caughtBy: { by: "simulation", checks: ["C5"], ground: "alone" },
  },
  {
    name: "lets-the-overtaken-go-on",
    promise: "G3",
    does: "does not stop handlers whose shard was taken over",
    file: "src/runtime/ownership/member-shards.ts",
    anchor: "this.#work.lose(lost);",
    replacement: "void lost;",
    caughtBy: {
      by: "test",
      file: "test/mesh/shards.test.ts",
      test: "a handler that lost its key is told to stop, and its message goes back with no attempt counted",
    },
  },
];
