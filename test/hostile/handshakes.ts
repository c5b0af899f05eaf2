/** Greetings that were recorded, passed on, or made with somebody else's certificate: none becomes a session. */
import { randomBytes } from "node:crypto";
import { DiallerProof } from "../../src/core/proof.ts";
import type { MeshNode } from "../../src/mesh/mesh-node.ts";
import type { Security } from "../../src/ports/security.ts";
import { encodeFrame } from "../../src/wire/frames.ts";
import type { HelloFrame } from "../../src/wire/handshake.ts";
import { until } from "../integration/until.ts";
import { greet, helloFrame } from "./greet-by-hand.ts";
import { type HostileCase, type Outcome, Tally } from "./hostile-case.ts";
import { type Scheme, SecuredRig, Wire } from "./secured-rig.ts";

const TRIES = 20;
const SCHEMES: readonly Scheme[] = ["tcp", "zmq"];

const dial = async (
  rig: SecuredRig,
  scheme: Scheme,
  security: Security,
  to: MeshNode,
): Promise<Wire> => {
  const transport = await rig.transport(scheme, security);
  return new Wire(await transport.dial(to.addresses[0] as string, { timeoutMs: 5_000 }));
};

/** Whether a session began. */
const isIn = async (wire: Wire): Promise<boolean> => {
  await wire.until("welcome");
  return wire.find("welcome") !== undefined;
};

/** A member that is dialled, and writes down what it hears: an honest Hello and Proof, made for it. */
const record = async (
  rig: SecuredRig,
  scheme: Scheme,
): Promise<{ hello: Uint8Array; proof: Uint8Array; heard: Wire }> => {
  const thief = rig.security("thief");
  const transport = await rig.transport(scheme, thief);
  const wires: Wire[] = [];
  const listener = await transport.listen({ host: "127.0.0.1", port: 0 }, (connection) => {
    wires.push(new Wire(connection));
  });
  await rig.node("victim", scheme, { dials: [listener.address] });
  await until(
    "the victim dials",
    () => wires[0]?.find("hello") !== undefined,
    () => "",
  );
  const wire = wires[0] as Wire;
  const hello = wire.bytesOf("hello");
  const { ListenerProof } = await import("../../src/core/proof.ts");
  const listenerProof = new ListenerProof(thief, wire.connection.channel, randomBytes(32));
  const said = wire.find("hello") as HelloFrame;
  const challenge = listenerProof.challenge(said.identity, said.shown, hello, Date.now());
  if ("code" in challenge) throw new Error(challenge.message);
  wire.connection.send(encodeFrame({ type: "challenge", session: 0, ...challenge }));
  await until(
    "the victim proves itself",
    () => wire.find("proof") !== undefined,
    () => "",
  );
  return { hello, proof: wire.bytesOf("proof"), heard: wire };
};

const replayed = async (log: (line: string) => void): Promise<Outcome> => {
  const tally = new Tally(log);
  for (const scheme of SCHEMES) {
    await using rig = new SecuredRig();
    const target = await rig.node("orders", scheme);
    const another = await rig.node("billing", scheme);
    const { hello, proof } = await record(rig, scheme);
    const thief = rig.security("thief");
    for (let n = 0; n < TRIES; n++) {
      const wire = await dial(rig, scheme, thief, n % 2 === 0 ? target : another);
      wire.connection.send(hello);
      wire.connection.send(proof);
      tally.check(!(await isIn(wire)), () => `${scheme}: a recorded greeting was welcomed`);
    }
  }
  return tally.outcome;
};

/** The victim dials the thief, who passes everything on to the target, and the target's answers back. */
const relayed = async (log: (line: string) => void): Promise<Outcome> => {
  const tally = new Tally(log);
  for (const scheme of SCHEMES) {
    await using rig = new SecuredRig();
    const target = await rig.node("orders", scheme);
    const thief = rig.security("thief");
    const transport = await rig.transport(scheme, thief);
    const pairs: { near: Wire; far: Wire }[] = [];
    const listener = await transport.listen({ host: "127.0.0.1", port: 0 }, (connection) => {
      const near = new Wire(connection);
      void dial(rig, scheme, thief, target).then((far) => pairs.push({ near, far }));
    });
    const victim = await rig.node("victim", scheme, { dials: [listener.address] });
    const sent = new Map<Wire, number>();
    const pass = (from: Wire, to: Wire): void => {
      for (let at = sent.get(from) ?? 0; at < from.frames.length; at++) {
        to.connection.send(from.frames[at]?.bytes as Uint8Array);
      }
      sent.set(from, from.frames.length);
    };
    await until(
      "it was tried often",
      () => {
        for (const { near, far } of pairs) {
          pass(near, far);
          pass(far, near);
        }
        return pairs.filter(({ near, far }) => near.isClosed && far.isClosed).length >= 3;
      },
      () => `${pairs.length}`,
    );
    for (const { near, far } of pairs) {
      const isWelcome = near.find("welcome") !== undefined || far.find("welcome") !== undefined;
      tally.check(!isWelcome, () => `${scheme}: a relayed greeting was welcomed`);
    }
    const isPassedOn = pairs.some(({ near }) => near.find("hello") !== undefined);
    if (!isPassedOn || pairs.length === 0) throw new Error("nothing was passed on");
    tally.check(victim.peers().length === 0, () => `${scheme}: the victim has a peer`);
  }
  return tally.outcome;
};

/** A member with keys of its own says that it is another one, shows another's certificate, or none. */
const stolen = async (log: (line: string) => void): Promise<Outcome> => {
  const tally = new Tally(log);
  for (const scheme of SCHEMES) {
    await using rig = new SecuredRig();
    const target = await rig.node("orders", scheme);
    const victim = rig.security("billing");
    const thief = rig.security("thief");
    const own = { nodeId: thief.self.nodeId, service: "thief" };
    const theirs = { nodeId: victim.self.nodeId, service: "billing" };
    const nonce = randomBytes(32);
    const hellos: readonly Uint8Array[] = [
      helloFrame(theirs, { nonce, chain: thief.self.chain }),
      helloFrame(theirs, { nonce, chain: victim.self.chain }),
      helloFrame({ ...own, service: "billing" }, { nonce, chain: thief.self.chain }),
      helloFrame({ ...own, mesh: "other" }, { nonce, chain: thief.self.chain }),
      helloFrame(theirs, { nonce, chain: [...victim.self.chain, ...thief.self.chain] }),
      helloFrame(own, { nonce, chain: [] }),
      helloFrame(own),
      helloFrame({ nodeId: target.id, service: "orders" }, { nonce, chain: thief.self.chain }),
    ];
    for (let n = 0; n < 3 * hellos.length; n++) {
      const hello = hellos[n % hellos.length] as Uint8Array;
      const wire = await dial(rig, scheme, thief, target);
      wire.connection.send(hello);
      await wire.until("challenge");
      const challenge = wire.find("challenge");
      if (challenge !== undefined) {
        const proof = new DiallerProof(thief, wire.connection.channel, nonce);
        const answer = proof.answer(challenge, hello, Date.now());
        const signature = "code" in answer ? randomBytes(64) : answer.signature;
        wire.connection.send(encodeFrame({ type: "proof", session: 0, signature }));
      }
      tally.check(!(await isIn(wire)), () => `${scheme}: hello ${n % hellos.length} was welcomed`);
    }
    // That the same by hand works with what is one's own shows that the tries above fail for their lies.
    const honest = await dial(rig, scheme, thief, target);
    if (!(await greet(honest, thief))) throw new Error("an honest greeting by hand was refused");
  }
  return tally.outcome;
};

export const HANDSHAKES: readonly HostileCase[] = [
  { name: "replayed-handshakes", run: ({ log }) => replayed(log) },
  { name: "relayed-handshakes", run: ({ log }) => relayed(log) },
  { name: "identity-theft", run: ({ log }) => stolen(log) },
];
