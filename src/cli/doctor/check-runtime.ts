/** Whether this Node.js can run a node at all: its version, and the native parts. */
import { createNode } from "../../index.ts";
import { type Finding, ok, problem } from "./finding.ts";

const NODE_MIN = [20, 19] as const;

export const checkRuntime = async (mesh: string): Promise<Finding[]> => {
  const { node } = process.versions;
  const here = `Node.js ${node} on ${process.platform} ${process.arch}`;
  const [major = 0, minor = 0] = node.split(".").map(Number);
  if (major < NODE_MIN[0] || (major === NODE_MIN[0] && minor < NODE_MIN[1])) {
    return [problem("runtime", here, `install Node.js ${NODE_MIN.join(".")} or later`)];
  }
  try {
    const probe = await createNode({
      service: "doctor",
      mesh,
      dataDir: ":memory:",
      discovery: [],
      heartbeatThread: false,
    });
    await probe.stop();
    return [ok("runtime", `${here}; a node starts`)];
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const remedy =
      "install again on this machine: the packages zeromq and lmdb bring a binary for each platform";
    return [problem("runtime", `${here}; no node starts: ${why}`, remedy)];
  }
};
