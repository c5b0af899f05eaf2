/** Ways to let somebody in, or let him do what he may not. */
import type { Mutant } from "./mutant.ts";

const PROOF = "test/core/proof.test.ts";
const RIGHTS = "test/mesh/rights.test.ts";
const LIMITS = "test/mesh/peer-limits.test.ts";

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
  {
    name: "paces-nobody",
    promise: "G8",
    does: "takes more of a peer than its quota",
    file: "src/runtime/link/peer-guard.ts",
    anchor: "    if (isPaced !== link.paced) {",
    replacement: "    if (isPaced && link.paced) {",
    caughtBy: {
      by: "test",
      file: LIMITS,
      test: "makes durable messages wait where they were accepted: none is lost, doubled or out of order",
    },
  },
  {
    name: "forgets-who-was-cut-off",
    promise: "G8",
    does: "lets a peer in again at once that lost its link for going on above a limit",
    file: "src/core/peer-allowance.ts",
    anchor: "    this.#barredUntilMs = nowMs + this.#barMs;",
    replacement: "    this.#barredUntilMs = nowMs;",
    caughtBy: {
      by: "test",
      file: LIMITS,
      test: "ends the link of who goes on all the same, and lets it in again after a while that doubles",
    },
  },
  {
    name: "keeps-no-room-for-others",
    promise: "G8",
    does: "counts a durable subscription only while its peer takes it, though it stays",
    file: "src/runtime/producer/subscription-room.ts",
    anchor: "    ids.add(id);\n",
    replacement: "",
    caughtBy: {
      by: "test",
      file: LIMITS,
      test: "counts durable ones that it brought and left, whose rows stay",
    },
  },
  {
    name: "admits-revoked-keys",
    promise: "G8",
    does: "lets a key in over ZeroMQ that is known as revoked",
    file: "src/security/load-security.ts",
    anchor: "    return keyId !== undefined && this.#index.hasKey(keyId);",
    replacement: "    return keyId !== undefined && this.#index.hasSerial(keyId);",
    caughtBy: {
      by: "test",
      file: "test/transport/secured.test.ts",
      test: "refuses a key that is revoked, as soon as it is known whose it is",
    },
  },
  {
    name: "believes-any-seal",
    promise: "G8",
    does: "takes what strangers announce for members' words",
    file: "src/discovery/mdns/record-seal.ts",
    anchor: "    return this.#keys.some(({ key }) =>\n",
    replacement: "    return this.#keys.length > 0 || this.#keys.some(({ key }) =>\n",
    caughtBy: {
      by: "test",
      file: "test/discovery/mdns/sealed.test.ts",
      test: "of broken bytes is no statement and throws nothing",
    },
  },
  {
    name: "hears-it-again",
    promise: "G8",
    does: "believes an announcement as often as somebody repeats it",
    file: "src/discovery/mdns/sealed-ear.ts",
    anchor: "sequence <= newest.sequence",
    replacement: "sequence < newest.sequence",
    caughtBy: {
      by: "test",
      file: "test/discovery/mdns/sealed.test.ts",
      test: "is worth nothing past its end, before its time, and of an earlier life",
    },
  },
];
