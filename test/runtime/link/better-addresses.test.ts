import { describe, expect, it } from "vitest";
import type { Transport } from "../../../src/ports/transport.ts";
import { asReached, sendOn } from "../../../src/runtime/link/better-addresses.ts";
import type { HelloFrame, Identity } from "../../../src/wire/handshake.ts";

const transport = (scheme: string, preference: number) => ({ scheme, preference }) as Transport;
const transports = [transport("zmq", 50), transport("tcp", 60), transport("grpc", 55)];
const own = {
  nodeId: "me",
  addresses: ["zmq://127.0.0.1:1", "tcp://127.0.0.1:2", "grpc://127.0.0.1:3"],
};

const hello = (addresses: readonly string[], redirect = true): HelloFrame => ({
  type: "hello",
  session: 0,
  identity: { addresses } as Identity,
  targetNodeId: "",
  knownEpoch: 0,
  knownNonce: new Uint8Array(0),
  redirect,
});

const sentTo = (addresses: readonly string[], scheme: string, redirect = true) =>
  sendOn(transports, own, hello(addresses, redirect), scheme)?.addresses;

describe("a peer that has greeted", () => {
  it("is sent to what both have and is better than the transport it came by", () => {
    const all = ["zmq://a:1", "tcp://a:2", "grpc://a:3"];
    expect(sentTo(all, "zmq")).toEqual(["tcp://127.0.0.1:2", "grpc://127.0.0.1:3"]);
    expect(sentTo(all, "grpc")).toEqual(["tcp://127.0.0.1:2"]);
    expect(sentTo(["zmq://a:1", "grpc://a:3"], "zmq")).toEqual(["grpc://127.0.0.1:3"]);
    expect(sendOn(transports, own, hello(all), "zmq")).toMatchObject({
      code: "BETTER_ADDRESS",
      nodeId: "me",
    });
  });

  it("is sent to what leads nowhere but here only if it is here too", () => {
    const files = { ...transport("unix", 70), reaches: (one: string) => one.endsWith("=here") };
    const node = { nodeId: "me", addresses: ["tcp://127.0.0.1:2", "unix:///a?host=here"] };
    const from = (address: string) =>
      sendOn([...transports, files], node, hello(["tcp://a:2", address]), "tcp")?.addresses;
    expect(from("unix:///b?host=here")).toEqual(["unix:///a?host=here"]);
    expect(from("unix:///b?host=there")).toBeUndefined();
  });

  it("stays where nothing both have is better, and when it says that this is all it has", () => {
    const all = ["zmq://a:1", "tcp://a:2", "grpc://a:3"];
    expect(sentTo(all, "tcp")).toBeUndefined();
    expect(sentTo(["zmq://a:1"], "zmq")).toBeUndefined();
    expect(sentTo(["zmq://a:1", "quic://a:2"], "zmq")).toBeUndefined();
    expect(sentTo([], "zmq")).toBeUndefined();
    expect(sentTo(all, "zmq", false)).toBeUndefined();
  });
});

describe("addresses heard of a node that was reached", () => {
  it("are as they are, but a wildcard is the host that was dialled", () => {
    const heard = ["tcp://0.0.0.0:2", "grpc://[::]:3", "tcp://10.0.0.1:2", "tcp://x0.0.0.0:2"];
    expect(asReached(heard, "zmq://db.internal:1")).toEqual([
      "tcp://db.internal:2",
      "grpc://db.internal:3",
      "tcp://10.0.0.1:2",
      "tcp://x0.0.0.0:2",
    ]);
    expect(asReached(heard.slice(0, 1), "zmq://[fe80::1]:1")).toEqual(["tcp://[fe80::1]:2"]);
    expect(asReached(heard.slice(0, 1), "unix:///run/a:b.sock")).toEqual(["tcp://127.0.0.1:2"]);
  });

  it("stay as they are where nobody knows from where the node came", () => {
    const heard = ["zmq://0.0.0.0:2", "zmq://10.0.0.1:2"];
    expect(asReached(heard, "peer 1 of zmq://10.0.0.9:1")).toEqual(heard);
  });

  it("are at most eight", () => {
    const heard = Array.from({ length: 50_000 }, (_, index) => `tcp://10.0.0.1:${index}`);
    expect(asReached(heard, "zmq://a:1")).toHaveLength(8);
  });
});
