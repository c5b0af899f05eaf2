/** The dialler's side of a greeting, frame by frame: as an honest node does it, or otherwise. */
import { randomBytes } from "node:crypto";
import { DiallerProof } from "../../src/core/proof.ts";
import type { Security } from "../../src/ports/security.ts";
import { encodeFrame } from "../../src/wire/frames.ts";
import type { HelloFrame, Identity } from "../../src/wire/handshake.ts";
import { firstHello } from "../frames-by-hand.ts";
import type { Wire } from "./secured-rig.ts";

export const helloFrame = (identity: Partial<Identity>, shown?: HelloFrame["shown"]): Uint8Array =>
  encodeFrame({
    ...firstHello({ nonce: randomBytes(16), ...identity }),
    ...(shown === undefined ? {} : { shown }),
  });

/** Says who it is, truly. Whether it was welcomed. */
export const greet = async (
  wire: Wire,
  security: Security,
  identity: Partial<Identity> = {},
): Promise<boolean> => {
  const { nodeId, service } = security.self;
  const proof = new DiallerProof(security, wire.connection.channel, randomBytes(32));
  const hello = helloFrame({ nodeId, service, ...identity }, proof.shown);
  wire.connection.send(hello);
  await wire.until("challenge");
  const challenge = wire.find("challenge");
  if (challenge === undefined) return false;
  const answer = proof.answer(challenge, hello, Date.now());
  if ("code" in answer) throw new Error(answer.message);
  wire.connection.send(encodeFrame({ type: "proof", session: 0, ...answer }));
  await wire.until("welcome");
  return wire.find("welcome") !== undefined;
};
