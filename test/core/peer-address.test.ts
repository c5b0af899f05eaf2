import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  formatPeerAddress,
  isHostLocal,
  isIpv4,
  isWildcard,
  parsePeerAddress,
} from "../../src/core/peer-address.ts";

describe("peer addresses", () => {
  it.each([
    ["127.0.0.1:7400", "zmq://127.0.0.1:7400"],
    ["zmq://orders.internal:1", "zmq://orders.internal:1"],
    ["tcp://host:65535", "tcp://host:65535"],
    ["grpc://[::1]:7400", "grpc://[::1]:7400"],
    ["[fe80::1%eth0]:9", "zmq://[fe80::1%eth0]:9"],
    ["unix:///run/a.sock", "unix:///run/a.sock"],
    ["later+1://h:2", "later+1://h:2"],
  ])("reads %s as %s", (text, expected) => {
    const parsed = parsePeerAddress(text);
    expect(parsed && formatPeerAddress(parsed)).toBe(expected);
  });

  it.each([
    "",
    "host",
    "host:",
    ":7400",
    "host:0",
    "host:65536",
    "host:07400",
    "host:7400 ",
    "ho st:7400",
    "zmq://",
    "zmq://host",
    "ZMQ://host:1",
    "unix://relative:1",
    "://host:1",
    "1.2.3:7400",
    "300.1.1.1:7400",
    "01.2.3.4:7400",
    "::1:7400",
    "[::1]",
    "[zz]:7400",
    "zmq://a/b:1",
    "zmq://user@host:1",
    `${"h".repeat(250)}:7400`,
    "h\u00f6st:7400",
    "zmq://host:1\n",
  ])("refuses %j", (text) => {
    expect(parsePeerAddress(text)).toBeUndefined();
  });

  it("never throws, and what it accepts parses to the same again", () => {
    const text = fc.oneof(
      fc.string(),
      fc.stringMatching(/^(zmq|tcp|unix):\/\/[a-z0-9.:[\]/-]{1,30}:\d{1,6}$/),
      fc.tuple(fc.ipV4(), fc.nat(70_000)).map(([host, port]) => `${host}:${port}`),
      fc.tuple(fc.ipV6(), fc.nat(70_000)).map(([host, port]) => `tcp://[${host}]:${port}`),
    );
    fc.assert(
      fc.property(text, (given) => {
        const parsed = parsePeerAddress(given);
        if (parsed !== undefined) {
          expect(parsePeerAddress(formatPeerAddress(parsed))).toEqual(parsed);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it("knows every dotted quad and nothing else", () => {
    fc.assert(fc.property(fc.ipV4(), (text) => isIpv4(text)));
    for (const text of ["1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.04", "a.b.c.d", ""]) {
      expect(isIpv4(text), text).toBe(false);
    }
  });

  it.each([
    ["zmq://127.9.9.9:1", true],
    ["zmq://localhost:1", true],
    ["zmq://[::1]:1", true],
    ["unix:///a", true],
    ["zmq://127.example.org:1", false],
    ["zmq://10.0.0.1:1", false],
  ])("tells whether %s stays on the host: %s", (text, local) => {
    const parsed = parsePeerAddress(text);
    expect(parsed && isHostLocal(parsed)).toBe(local);
  });

  it("tells wildcards from addresses", () => {
    const wild = ["0.0.0.0:1", "[::]:1", "10.0.0.1:1"].map((text) => {
      const parsed = parsePeerAddress(text);
      return parsed && isWildcard(parsed);
    });
    expect(wild).toEqual([true, true, false]);
  });
});
