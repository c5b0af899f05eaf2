import { execFileSync } from "node:child_process";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { writeFileSync } from "node:fs";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Certificate, readCertificate } from "../../src/security/certificate.ts";
import { createIssuer } from "../../src/security/open-authority.ts";
import { toPem } from "../../src/security/pem.ts";
import { isSignedBy } from "../../src/security/verify-chain.ts";
import { timesTheCost } from "../processor-time.ts";
import { KeysWorld } from "./keys-world.ts";

let world: KeysWorld;
let leaf: Uint8Array;
let issuer: Uint8Array;
let authority: Certificate;

beforeAll(() => {
  world = new KeysWorld();
  const signer = createIssuer(world.authority, world.path("issuer"));
  const allow = { publish: ["order.>"], subscribe: ["payment.*"] };
  const { chain } = world.node({ allow, deny: { publish: ["order.secret"] } }, signer).self;
  [leaf, issuer] = chain as [Uint8Array, Uint8Array];
  authority = world.authority.signing.certificate;
});
afterAll(() => world[Symbol.dispose]());

const accepted = (der: Uint8Array): Certificate => {
  const certificate = readCertificate(der);
  if ("malformed" in certificate) throw new Error(certificate.malformed);
  return certificate;
};

describe("a certificate", () => {
  it("is a valid one to openssl, with its chain, in strict mode", () => {
    const [ca, mid, node] = [world.path("ca.pem"), world.path("mid.pem"), world.path("leaf.pem")];
    writeFileSync(ca, toPem([authority.der]));
    writeFileSync(mid, toPem([issuer]));
    writeFileSync(node, toPem([leaf]));
    for (const purpose of ["sslserver", "sslclient"]) {
      const args = [
        "verify",
        "-x509_strict",
        "-purpose",
        purpose,
        "-CAfile",
        ca,
        "-untrusted",
        mid,
        node,
      ];
      expect(execFileSync("openssl", args, { encoding: "utf8" })).toContain("OK");
    }
    const text = execFileSync("openssl", ["x509", "-in", node, "-noout", "-text"], {
      encoding: "utf8",
    });
    expect(text).toContain("URI:meshbus://shop/orders/");
    expect(text).toContain("ED25519");
  });

  it("says the same to Node's own parser", () => {
    const own = accepted(leaf);
    const theirs = new X509Certificate(leaf);
    expect(theirs.serialNumber.toLowerCase()).toBe(own.serial);
    expect(Date.parse(theirs.validTo)).toBe(own.notAfterMs);
    expect(theirs.publicKey.export({ type: "spki", format: "der" })).toEqual(
      Buffer.from(own.publicKey),
    );
    expect(theirs.verify(new X509Certificate(issuer).publicKey)).toBe(true);
  });

  it("that openssl made for another purpose is refused with a reason", () => {
    const [key, crt] = [world.path("foreign.key"), world.path("foreign.crt")];
    writeFileSync(
      key,
      generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }),
    );
    execFileSync("openssl", [
      "req",
      "-x509",
      "-key",
      key,
      "-subj",
      "/CN=shop",
      "-days",
      "1",
      "-out",
      crt,
    ]);
    const der = new X509Certificate(execFileSync("openssl", ["x509", "-in", crt])).raw;
    expect(readCertificate(der)).toEqual({ malformed: expect.stringContaining("serial") });
  });

  it("changed in any byte is refused, or no signature of its signer is on it", () => {
    const signer = accepted(issuer);
    expect(isSignedBy(accepted(leaf), signer)).toBe(true);
    for (let at = 0; at < leaf.length; at++) {
      for (const bit of [1, 128]) {
        const changed = Uint8Array.from(leaf);
        changed[at] = (changed[at] ?? 0) ^ bit;
        const read = readCertificate(changed);
        if (!("malformed" in read)) expect(isSignedBy(read, signer), `byte ${at}`).toBe(false);
      }
    }
  });

  it("of hostile bytes gives a reason and throws nothing", () => {
    const edit = fc.record({
      kind: fc.constantFrom("set", "insert", "delete", "repeat", "cut"),
      at: fc.nat(leaf.length),
      value: fc.uint8Array({ minLength: 1, maxLength: 6 }),
    });
    fc.assert(
      fc.property(
        fc.constantFrom(leaf, issuer, authority.der),
        fc.array(edit, { minLength: 1, maxLength: 4 }),
        (from, edits) => {
          let bytes = Buffer.from(from);
          for (const { kind, at, value } of edits) {
            const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
            if (kind === "set") bytes = Buffer.concat([head, value, tail.subarray(value.length)]);
            else if (kind === "insert") bytes = Buffer.concat([head, value, tail]);
            else if (kind === "delete") bytes = Buffer.concat([head, tail.subarray(value.length)]);
            else if (kind === "repeat") bytes = Buffer.concat([head, tail, tail]);
            else bytes = Buffer.from(head);
          }
          const read = readCertificate(bytes);
          // What is accepted is spelled as it was given.
          if (!("malformed" in read)) expect(Buffer.from(read.der).equals(bytes)).toBe(true);
        },
      ),
      { numRuns: 3_000 },
    );
  });

  it.each([
    ["nothing", Buffer.alloc(0)],
    [
      "a depth of 5,000",
      Buffer.concat(Array.from({ length: 5_000 }, () => Buffer.from([0x30, 0x80]))),
    ],
    ["a length beyond the end", Buffer.from("3084ffffffff00", "hex")],
    ["100,000 B", Buffer.alloc(100_000, 0x30)],
    [
      "thousands of elements",
      Buffer.concat([Buffer.from("30823e80", "hex"), Buffer.alloc(16_000, 5)]),
    ],
  ])("of %s is refused at once", (_what, bytes) => {
    expect(readCertificate(bytes)).toEqual({ malformed: expect.any(String) });
    const readsOfProperOnes = (): void => {
      for (let n = 0; n < 20; n++) readCertificate(leaf);
    };
    expect(timesTheCost(() => readCertificate(bytes), readsOfProperOnes)).toBeLessThan(1);
  });

  it("followed by one byte more is refused", () => {
    expect(readCertificate(Buffer.concat([leaf, Buffer.from([0])]))).toHaveProperty("malformed");
  });
});
