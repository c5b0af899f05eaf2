/** Two ends of a greeting with real signatures, and what a thief can do with what he heard. */
import { createHash, generateKeyPairSync, type KeyObject, sign, verify } from "node:crypto";
import { describe, expect, it } from "vitest";
import {
  DiallerProof,
  ListenerProof,
  type ProofChannel,
  type Provable,
  type Prover,
  proofText,
  type Shown,
} from "../../src/core/proof.ts";

const HELLO = Buffer.from("a whole Hello");
const nonce = (byte: number): Uint8Array => Buffer.alloc(32, byte);

/** A mesh whose certificates are names: only the keys are real. */
class Mesh {
  readonly #keys = new Map<
    string,
    { readonly identity: Provable; readonly publicKey: KeyObject }
  >();

  node(nodeId: string, service = "orders"): Prover<Provable> {
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    const certificate = Buffer.from(`certificate of ${nodeId}`);
    const identity: Provable = {
      mesh: "shop",
      service,
      nodeId,
      curveKey: createHash("sha256").update(nodeId).digest(),
      certificate,
      chain: [certificate],
      publicKey: publicKey.export({ type: "spki", format: "der" }),
    };
    this.#keys.set(certificate.toString(), { identity, publicKey });
    return {
      self: identity,
      sign: (bytes) => sign(null, bytes, privateKey),
      verify: (chain) =>
        this.#keys.get(String(Buffer.from(chain[0] ?? [])))?.identity ?? {
          code: "untrusted",
          message: "nobody signed it",
        },
      verifySignature: (peer, bytes, signature) => {
        const known = this.#keys.get(String(Buffer.from(peer.certificate)));
        return known !== undefined && verify(null, bytes, known.publicKey, signature);
      },
    };
  }
}

const mesh = new Mesh();
const orders = mesh.node("n-orders");
const billing = mesh.node("n-billing", "billing");
const mallory = mesh.node("n-mallory", "mallory");
const claimOf = ({ self: { mesh: name, service, nodeId } }: Prover<Provable>) => ({
  mesh: name,
  service,
  nodeId,
});
const code = (verdict: object): string => ("code" in verdict ? String(verdict.code) : "");

const curve = (own: Prover<Provable>, peer?: Prover<Provable>): ProofChannel => ({
  kind: "curve",
  ownKey: own.self.curveKey,
  peerKey: peer?.self.curveKey,
});
const tls = (own: Prover<Provable>, peer: Prover<Provable>): ProofChannel => ({
  kind: "tls",
  ownKey: own.self.publicKey,
  peerKey: peer.self.publicKey,
});

const meet = (near: ProofChannel, far: ProofChannel) => {
  const dialler = new DiallerProof(orders, near, nonce(1));
  const listener = new ListenerProof(billing, far, nonce(2));
  const challenge = listener.challenge(claimOf(orders), dialler.shown, HELLO, 0);
  if ("code" in challenge) throw new Error(challenge.message);
  return { dialler, listener, challenge };
};

describe("a proof", () => {
  it.each([
    ["CURVE", curve(orders, billing), curve(billing)],
    ["TLS", tls(orders, billing), tls(billing, orders)],
    ["no transport security", undefined, undefined],
  ])("shows both who the other is, over %s", (_, near, far) => {
    const { dialler, listener, challenge } = meet(near, far);
    const answer = dialler.answer(challenge, HELLO, 0);
    if ("code" in answer) throw new Error(answer.message);
    expect(listener.proved(answer.signature)).toBe(orders.self);
    expect(dialler.proved(claimOf(billing))).toBe(billing.self);
  });

  it("signs these bytes", () => {
    const side = (name: string): Provable => ({
      mesh: "shop",
      service: name,
      nodeId: `id-${name}`,
      curveKey: Buffer.alloc(32),
      certificate: Buffer.from([0x30, 0x01]),
      chain: [],
      publicKey: Buffer.alloc(0),
    });
    const text = {
      dialler: side("a"),
      listener: side("b"),
      diallerKey: Buffer.from([1]),
      listenerKey: Buffer.from([2, 2]),
      diallerNonce: Buffer.from([3]),
      listenerNonce: Buffer.from([4]),
      hello: Buffer.from([5, 5, 5]),
    };
    const parts = ["meshbus proof 1", "listener", "shop", "id-a", "id-b"].map((part) =>
      Buffer.from(part),
    );
    const hex = ["01", "0202", "03", "04", "3001", "3001", "050505"];
    parts.push(...hex.map((part) => Buffer.from(part, "hex")));
    const expected = parts.map((part) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(part.length);
      return Buffer.concat([length, part]);
    });
    expect(Buffer.from(proofText("listener", text)).toString("hex")).toBe(
      Buffer.concat(expected).toString("hex"),
    );
  });

  it("is worth nothing a second time: the listener's number is another", () => {
    const { dialler, challenge } = meet(curve(orders, billing), curve(billing));
    const answer = dialler.answer(challenge, HELLO, 0);
    if ("code" in answer) throw new Error(answer.message);
    const later = new ListenerProof(billing, curve(billing), nonce(3));
    later.challenge(claimOf(orders), dialler.shown, HELLO, 0);
    expect(code(later.proved(answer.signature))).toBe("UNAUTHORIZED");
  });

  it("is worth nothing at another node: whoever is dialled cannot pass it on", () => {
    // orders dials mallory, who passes everything on to billing and back.
    const dialler = new DiallerProof(orders, curve(orders, mallory), nonce(1));
    const listener = new ListenerProof(billing, curve(billing), nonce(2));
    const challenge = listener.challenge(claimOf(orders), dialler.shown, HELLO, 0);
    if ("code" in challenge) throw new Error(challenge.message);
    expect(code(dialler.answer(challenge, HELLO, 0))).toBe("UNAUTHORIZED");
    // She answers orders herself, and passes on only its proof.
    const own = new ListenerProof(mallory, curve(mallory), challenge.nonce);
    const hers = own.challenge(claimOf(orders), dialler.shown, HELLO, 0);
    if ("code" in hers) throw new Error(hers.message);
    const answer = dialler.answer(hers, HELLO, 0);
    if ("code" in answer) throw new Error(answer.message);
    expect(code(listener.proved(answer.signature))).toBe("UNAUTHORIZED");
  });

  it("is not made by who shows another's certificate", () => {
    const listener = new ListenerProof(billing, curve(billing), nonce(2));
    const stolen: Shown = { nonce: nonce(1), chain: orders.self.chain };
    const challenge = listener.challenge(claimOf(orders), stolen, HELLO, 0);
    expect(code(challenge)).toBe("");
    const forged = mallory.sign(Buffer.from("anything"));
    expect(code(listener.proved(forged))).toBe("UNAUTHORIZED");
    expect(code(listener.proved(forged))).toBe("UNAUTHORIZED");
  });

  it("is not believed for another id, service or mesh than the certificate's", () => {
    for (const lie of [{ nodeId: "n-billing" }, { service: "billing" }, { mesh: "other" }]) {
      const listener = new ListenerProof(billing, undefined, nonce(2));
      const shown = { nonce: nonce(1), chain: orders.self.chain };
      expect(code(listener.challenge({ ...claimOf(orders), ...lie }, shown, HELLO, 0))).toBe(
        "UNAUTHORIZED",
      );
      const { dialler, challenge } = meet(undefined, undefined);
      dialler.answer(challenge, HELLO, 0);
      expect(code(dialler.proved({ ...claimOf(billing), ...lie, nodeId: "n-x" }))).toBe(
        "UNAUTHORIZED",
      );
    }
  });

  it("needs the certificate to be that of the connection", () => {
    const listener = new ListenerProof(billing, tls(billing, mallory), nonce(2));
    const shown = { nonce: nonce(1), chain: orders.self.chain };
    expect(code(listener.challenge(claimOf(orders), shown, HELLO, 0))).toBe("UNAUTHORIZED");
  });

  it("covers the Hello: who alters it in between is found out by both", () => {
    const { dialler, challenge } = meet(undefined, undefined);
    expect(code(dialler.answer(challenge, Buffer.from("another Hello"), 0))).toBe("UNAUTHORIZED");
  });

  it("is asked of everybody: no certificate, a short nonce and a proof too early are refused", () => {
    const listener = new ListenerProof(billing, undefined, nonce(2));
    expect(code(listener.proved(Buffer.alloc(64)))).toBe("UNAUTHORIZED");
    expect(code(listener.challenge(claimOf(orders), undefined, HELLO, 0))).toBe("UNAUTHORIZED");
    const short = { nonce: Buffer.alloc(8), chain: orders.self.chain };
    expect(code(listener.challenge(claimOf(orders), short, HELLO, 0))).toBe("UNAUTHORIZED");
    const dialler = new DiallerProof(orders, undefined, nonce(1));
    expect(code(dialler.proved(claimOf(billing)))).toBe("UNAUTHORIZED");
  });

  it("a signature of one side is never the other's", () => {
    const { dialler, listener, challenge } = meet(undefined, undefined);
    dialler.answer(challenge, HELLO, 0);
    expect(code(listener.proved(challenge.signature))).toBe("UNAUTHORIZED");
  });
});
