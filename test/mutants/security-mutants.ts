/** Ways to let somebody in, or let him do what he may not. */
import type { Mutant } from "./mutant.ts";

const PROOF = "test/core/proof.test.ts";
const RIGHTS = "test/mesh/rights.test.ts";

export const SECURITY_MUTANTS: readonly Mutant[] = [
  {
    name: "believes-any-proof",
    promise: "G8",
    does: "takes a certificate for its owner",
    file: "src/core/proof.ts",
    anchor: 'const isProved = this.#prover.verifySignature(peer, text("dialler"), signature);',
    replacement: 'const isProved = text("dialler").length > signature.length;',
    caughtBy: {
      by: "test",
      file: PROOF,
      test: "is not made by who shows another's certificate",
    },
  },
  {
    name: "signs-for-nobody",
    promise: "G8",
    does: "leaves the listener's key out of what is signed",
    file: "src/core/proof.ts",
    anchor: "    text.listenerKey,\n",
    replacement: "",
    caughtBy: {
      by: "test",
      file: PROOF,
      test: "signs these bytes",
    },
  },
  {
    name: "signs-for-ever",
    promise: "G8",
    does: "leaves the listener's number out of what is signed",
    file: "src/core/proof.ts",
    anchor: "    text.listenerNonce,\n",
    replacement: "",
    caughtBy: {
      by: "test",
      file: PROOF,
      test: "is worth nothing a second time: the listener's number is another",
    },
  },
  {
    name: "takes-a-name-for-a-node",
    promise: "G8",
    does: "lets a node say another id than its certificate's",
    file: "src/core/proof.ts",
    anchor: "  if (nodeId !== peer.nodeId)",
    replacement: "  if (nodeId === service)",
    caughtBy: {
      by: "test",
      file: PROOF,
      test: "is not believed for another id, service or mesh than the certificate's",
    },
  },
  {
    name: "hears-everybody",
    promise: "G8",
    does: "takes what its sender may not say",
    file: "src/runtime/access.ts",
    anchor:
      "return link.proven?.may(action, subject) ? undefined : this.#deny(link, action, subject);",
    replacement: "return subject.length > 0 ? undefined : this.#deny(link, action, subject);",
    caughtBy: {
      by: "test",
      file: RIGHTS,
      test: "publishes: what it may not becomes a dead letter of its own, and is handled nowhere",
    },
  },
  {
    name: "serves-everybody",
    promise: "G8",
    does: "sends messages to who may not read them",
    file: "src/runtime/access.ts",
    anchor: '      : link.proven?.mayOverlap(action, pattern) === "all";',
    replacement: "      : link.proven?.mayOverlap(action, pattern) !== undefined;",
    caughtBy: {
      by: "test",
      file: RIGHTS,
      test: "subscribes, handles and replies: it is refused, and no message leaves for it",
    },
  },
  {
    name: "keeps-the-revoked",
    promise: "G8",
    does: "leaves a revoked peer its links",
    file: "src/runtime/credentials.ts",
    anchor: '    link.close("UNAUTHORIZED", why);\n',
    replacement: "",
    caughtBy: {
      by: "test",
      file: "test/mesh/certificate-life.test.ts",
      test: "a revoked peer loses its links wherever the list arrives, and what it was owed waits",
    },
  },
];
