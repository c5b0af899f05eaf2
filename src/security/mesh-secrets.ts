/**
 * What every member of a mesh knows and no stranger does: 32 bytes, two of them while they change.
 *
 * Problem: a secret that everybody has leaks some day, and its successor must reach everybody before it is used.
 * Approach: the signed list, which may travel through anybody's hands, names the secrets by their hashes; the secrets
 * go beside it over protected links, and are taken when the list names them. The first is used for what is said, each
 * is good for what is heard. It changes with the authority: announced, then used first, then alone.
 */
import { createHash, randomBytes } from "node:crypto";

export const SECRET_BYTES = 32;
export const SECRETS_MAX = 2;
const CONTEXT = "meshbus secret v1\0";

export const newSecret = (): Uint8Array => new Uint8Array(randomBytes(SECRET_BYTES));

export const hashOfSecret = (secret: Uint8Array): Uint8Array =>
  new Uint8Array(createHash("sha256").update(CONTEXT).update(secret).digest());

/** Whether a list that gives these hashes means these secrets, in this order. */
export const areNamedBy = (
  secrets: readonly Uint8Array[],
  hashes: readonly Uint8Array[],
): boolean =>
  secrets.length > 0 &&
  secrets.length === hashes.length &&
  secrets.every((secret, at) => Buffer.compare(hashOfSecret(secret), hashes[at] ?? secret) === 0);

export const areSame = (a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean =>
  a.length === b.length && a.every((one, at) => Buffer.compare(one, b[at] ?? NONE) === 0);

export const secretsText = (secrets: readonly Uint8Array[]): string =>
  secrets.map((secret) => `${Buffer.from(secret).toString("base64")}\n`).join("");

/** Undefined: the text holds none, or something else. */
export const parseSecrets = (text: string): readonly Uint8Array[] | undefined => {
  const secrets = text
    .trim()
    .split("\n")
    .map((line) => new Uint8Array(Buffer.from(line.trim(), "base64")));
  const isWhole = secrets.every(({ length }) => length === SECRET_BYTES);
  return isWhole && secrets.length <= SECRETS_MAX ? secrets : undefined;
};

const NONE = new Uint8Array(0);
