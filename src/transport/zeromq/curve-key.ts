/** A CURVE public key as addresses say it (base64url, 43 characters), and as libzmq takes it (Z85, 40). */

const ALPHABET =
  "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
const KEY_BYTES = 32;

/** Source: ZeroMQ RFC 32. */
export const toZ85 = (key: Uint8Array): string => {
  const bytes = Buffer.from(key.buffer, key.byteOffset, key.byteLength);
  let text = "";
  for (let at = 0; at < KEY_BYTES; at += 4) {
    let value = bytes.readUInt32BE(at);
    let group = "";
    for (let digit = 0; digit < 5; digit++) {
      group = ALPHABET.charAt(value % 85) + group;
      value = Math.floor(value / 85);
    }
    text += group;
  }
  return text;
};

export const formatCurveKey = (key: Uint8Array): string => Buffer.from(key).toString("base64url");

/** Undefined: these are not 32 bytes in the one spelling they have. */
export const parseCurveKey = (text: string): Uint8Array | undefined => {
  const key = Buffer.from(text, "base64url");
  return key.length === KEY_BYTES && key.toString("base64url") === text ? key : undefined;
};
