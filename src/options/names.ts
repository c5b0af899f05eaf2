/** Names, hosts and header texts that options may hold. */
import { FIXED_BOUNDS } from "./bounds.ts";

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;
const HOST = /^[A-Za-z0-9_.:*%[\]-]+$/;
const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;
const LOOPBACK_V4 = /^(::ffff:)?127(\.(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/i;

const NAME_SIZE = `1 to ${FIXED_BOUNDS.nameBytesMax}`;
/** Completes "must be ...". */
export const NAME_RULE = `${NAME_SIZE} of A-Z a-z 0-9 - _ . beginning with a letter or digit`;

/** Names of services, meshes and groups: safe as a folder's name and in every directory service. */
export const isName = (text: string): boolean =>
  text.length <= FIXED_BOUNDS.nameBytesMax && NAME.test(text);

export const isHost = (text: string): boolean =>
  text.length <= FIXED_BOUNDS.hostBytesMax && HOST.test(text);

/**
 * Whether listening on a host is reachable from this machine only: "localhost", 127.0.0.0/8 and ::1
 * in their usual spellings. An unusual spelling counts as not loopback, which is the safe side.
 */
export const isLoopbackHost = (host: string): boolean => {
  const bare = host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : host;
  return bare.toLowerCase() === "localhost" || bare === "::1" || LOOPBACK_V4.test(bare);
};

/** A token as in HTTP (RFC 9110 section 5.6.2). */
export const isHeaderName = (text: string): boolean =>
  text.length <= FIXED_BOUNDS.headerNameBytesMax && HEADER_NAME.test(text);

/** Whether a text takes at most so many bytes as UTF-8. */
export const fitsBytes = (text: string, bytesMax: number): boolean =>
  text.length <= bytesMax && (text.length * 3 <= bytesMax || Buffer.byteLength(text) <= bytesMax);
