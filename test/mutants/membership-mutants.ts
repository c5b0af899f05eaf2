/** What can go wrong with what members say of each other. */
import type { Mutant } from "./mutant.ts";

export const MEMBERSHIP_MUTANTS: readonly Mutant[] = [
  {
    name: "vouches-for-nobody",
    promise: "G7",
    does: "does not tell the mesh that a blocked member's process was heard",
    file: "src/runtime/membership.ts",
    anchor: "this.#do(this.#swim.pulse(nodeId, this.#nowMs()));",
    replacement: "",
    caughtBy: { by: "simulation", checks: ["C7"], ground: "blocked" },
  },
  {
    name: "drops-whom-the-mesh-calls-dead",
    promise: "G7",
    does: "closes the link of a member that answers, because others call it dead",
    file: "src/runtime/membership.ts",
    anchor: 'if (state === "dead" && !isMet) report',
    replacement:
      'if (state === "dead") peer?.link?.close("TIMEOUT", "dead");\n    if (state === "dead" && !isMet) report',
    caughtBy: {
      by: "test",
      file: "test/mesh/lying-members.test.ts",
      test: "drops no link, however often it is said",
    },
  },
  {
    name: "jumps-above-a-life-that-goes-on",
    promise: "G4",
    does: "jumps above another live life of this node of which others tell",
    file: "src/runtime/membership.ts",
    anchor: 'if (state !== "dead" && state !== "left") return;',
    replacement: "",
    caughtBy: {
      by: "test",
      file: "test/mesh/lying-members.test.ts",
      test: "changes nothing while it is said to live: two that live would jump above one another",
    },
  },
  {
    name: "takes-silence-for-an-end",
    promise: "G7",
    does: "takes a process for gone because its host does not answer",
    file: "src/runtime/link/exit-probe.ts",
    anchor: "const isRefused = MeshError.is(error) && error.details.refused === true;",
    replacement: "const isRefused = MeshError.is(error);",
    caughtBy: {
      by: "test",
      file: "test/mesh/exit.test.ts",
      test: "is not told from one whose host is silent, or whose link alone broke",
    },
  },
];
