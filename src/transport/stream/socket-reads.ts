/**
 * How a socket's bytes come to their reader: read where the reader wants them, without memory of the socket's own.
 *
 * Problem: Node reads each time into 64 KiB of new memory, and says so to the collector. Approach: `onread`, with which
 * a socket asks for each read where it may go. Only who opens a socket can say so; one that was accepted is therefore
 * wrapped anew around its handle, before anything was read. Where that cannot be done (TLS, another runtime), chunks are
 * copied, and their memory is given back at once (free-chunk.ts).
 */
import { type OnReadOpts, Socket } from "node:net";
import type { FrameReader } from "./frame-reader.ts";
import { freeChunk } from "./free-chunk.ts";

/** What a socket is told that reads straight into a reader's memory. */
export const readingInto = (reader: FrameReader): OnReadOpts => ({
  buffer: () => reader.room(),
  callback: (bytes) => {
    reader.filled(bytes);
    return reader.hasRoom;
  },
});

/** A socket for one that was accepted and is paused, which closes with it; itself where there is no other way. */
export const acceptedInto = (reader: FrameReader, accepted: Socket): Socket => {
  const handle = (accepted as { readonly _handle?: { readonly useUserBuffer?: unknown } })._handle;
  if (typeof handle?.useUserBuffer !== "function") return accepted;
  const socket = new Socket({ handle, onread: readingInto(reader) } as never);
  socket.once("close", () => accepted.destroy());
  return socket;
};

/** Gives the reader what comes from now on, however it comes. */
export const startReads = (reader: FrameReader, socket: Socket): void => {
  // One with `onread` has no such events.
  socket.on("data", (chunk: Buffer) => {
    reader.push(chunk);
    freeChunk(chunk);
  });
  socket.resume();
};
