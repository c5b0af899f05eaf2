/** How a link ends. */
import { MeshError } from "../../errors.ts";

/** The peer closed the connection in order, without a word: its process lives. */
export const CLOSED = "CLOSED";

/** `code`: as a Bye gives it, CLOSED, TIMEOUT; "" is a connection that broke. */
export const peerLost = (code: string, message: string): MeshError =>
  new MeshError("PEER_LOST", message, { details: { code } });
