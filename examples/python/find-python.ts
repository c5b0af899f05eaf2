/** Whether this machine has what the Python programs need. */
import { spawnSync } from "node:child_process";

/** The system's own: its packages are Debian's. */
export const PYTHON = "/usr/bin/python3";
const PACKAGES =
  "python3-grpcio python3-zmq python3-protobuf protobuf-compiler protobuf-compiler-grpc";

/** What is missing; undefined: nothing. */
export const missingForPython = (): string | undefined => {
  const imports = spawnSync(PYTHON, ["-c", "import grpc, zmq, google.protobuf"]);
  const tools = ["protoc", "grpc_python_plugin"].every((name) => {
    return spawnSync("sh", ["-c", `command -v ${name}`]).status === 0;
  });
  if (imports.status === 0 && tools) return undefined;
  return `${PYTHON} needs these packages of Debian: ${PACKAGES}`;
};
