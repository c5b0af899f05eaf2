/**
 * Gives back the memory of what a socket read as soon as nobody needs it.
 *
 * Problem: a socket's reads lie outside of the heap, 64 KiB each, and a collection is what frees them: one of the whole
 * heap for each 32 MiB read, although all of it was copied long ago. Approach: a buffer that is transferred to a port
 * whose other end is closed belongs to nobody, and is freed at once. What reads next gets memory that is still in a cache.
 */
import { MessageChannel, type MessagePort } from "node:worker_threads";

const portToNobody = (): MessagePort => {
  const { port1, port2 } = new MessageChannel();
  port2.close();
  return port1;
};

const NOBODY = portToNobody();
/** Below this, what is freed is not worth the call. */
const BYTES_MIN = 8 * 1024;

/** The chunk, read by a socket, is empty from now on. */
export const freeChunk = ({ buffer, length }: Buffer): void => {
  // Part of a larger buffer: others may lie there.
  if (length < BYTES_MIN || buffer.byteLength !== length) return;
  NOBODY.postMessage(undefined, [buffer as ArrayBuffer]);
};
