/** Certificates as PEM text (RFC 7468) and back. */
import { keysError } from "./key-files.ts";

const BEGIN = "-----BEGIN CERTIFICATE-----";
const END = "-----END CERTIFICATE-----";
const LINE = 64;

export const toPem = (certificates: readonly Uint8Array[]): string =>
  certificates.map((der) => `${BEGIN}\n${linesOf(der)}${END}\n`).join("");

/** The DER of each certificate in the text; what stands around them is ignored. @throws MeshError */
export const fromPem = (text: string, name: string): Uint8Array[] => {
  const list: Uint8Array[] = [];
  for (let from = text.indexOf(BEGIN); from >= 0; from = text.indexOf(BEGIN, from)) {
    const end = text.indexOf(END, from);
    if (end < 0) throw keysError(`${name} has a certificate without its end`);
    const body = text.slice(from + BEGIN.length, end).replace(/\s/g, "");
    if (!/^[A-Za-z0-9+/]+={0,2}$/.test(body)) throw keysError(`${name} holds no PEM`);
    list.push(new Uint8Array(Buffer.from(body, "base64")));
    from = end;
  }
  if (list.length === 0) throw keysError(`${name} holds no certificate`);
  return list;
};

const linesOf = (der: Uint8Array): string => {
  const text = Buffer.from(der).toString("base64");
  let lines = "";
  for (let at = 0; at < text.length; at += LINE) lines += `${text.slice(at, at + LINE)}\n`;
  return lines;
};
