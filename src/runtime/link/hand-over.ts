/** Gives a frame to the owner of a link. Whatever a peer sends, the node and its other links go on. */
import type { Identity } from "../../wire/handshake.ts";
import type { Environment } from "../environment.ts";
import type { LinkOwner, SessionFrame } from "./link-owner.ts";

/** False: it could not be handled. */
export const handOver = <L extends { readonly peer: Pick<Identity, "nodeId"> }>(
  env: Environment,
  owner: Pick<LinkOwner<L>, "frame">,
  link: L,
  frame: SessionFrame,
): boolean => {
  try {
    owner.frame(link, frame);
    return true;
  } catch (error) {
    env.counters.count("link.frameFailed");
    const peer = link.peer.nodeId;
    env.logger.error("a frame could not be handled: link closed", {
      frame: frame.type,
      peer,
      error,
    });
    return false;
  }
};
