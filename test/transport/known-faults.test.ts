import { describe, expect, it } from "vitest";
import { assertNoKnownFaults, faultOf } from "../../src/transport/known-faults.ts";

describe("known faults of packages", () => {
  it.each([
    ["@grpc/grpc-js", "1.14.3", "1.14.4"],
    ["@grpc/grpc-js", "1.9.15", "1.14.4"],
    ["@grpc/grpc-js", "0.8.1", "1.14.4"],
    ["@grpc/grpc-js", "1.14.4-pre.1", "1.14.4"],
    ["@grpc/grpc-js", "of no version", "1.14.4"],
    ["@grpc/grpc-js", "1.14.4", undefined],
    ["@grpc/grpc-js", "1.14.5-pre.1", undefined],
    ["@grpc/grpc-js", "1.15.0", undefined],
    ["@grpc/grpc-js", "2.0.0", undefined],
    ["protobufjs", "6.11.4", "7.6.1"],
    ["protobufjs", "7.6.0", "7.6.1"],
    ["protobufjs", "7.10.0", undefined],
    ["protobufjs", "8.4.0", "8.4.1"],
    ["protobufjs", "8.8.1", undefined],
    ["protobufjs", "9.0.0", undefined],
  ])("of %s %s: %s is needed", (name, version, needed) => {
    expect(faultOf(name, version)?.floor).toBe(needed);
  });

  it("are not in what is installed here", () => {
    expect(() => assertNoKnownFaults(["@grpc/grpc-js", "protobufjs"])).not.toThrow();
  });
});
