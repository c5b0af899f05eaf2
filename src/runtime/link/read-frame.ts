/** What a peer sent, read; or why it cannot be, after which its link has no use. */
import { decodeFrame, type Frame } from "../../wire/frames.ts";
import { WireError } from "../../wire/wire-error.ts";

export const readFrame = (bytes: Uint8Array): Frame | { readonly fault: string } => {
  try {
    return decodeFrame(bytes);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    return { fault: error.reason };
  }
};
