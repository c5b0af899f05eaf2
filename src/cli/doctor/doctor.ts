/** meshbus doctor: what this host can and cannot do, and why a peer is not seen. */
import { parseArgs } from "node:util";
import { checkContracts } from "./check-contract.ts";
import { checkFolder } from "./check-folder.ts";
import { checkKeys } from "./check-keys.ts";
import { checkListen, type ListenAddress } from "./check-listen.ts";
import { checkNeighbours } from "./check-neighbours.ts";
import { checkPeers, mayGreet, type PeerToCheck } from "./check-peers.ts";
import { checkRuntime } from "./check-runtime.ts";
import type { Finding, Severity } from "./finding.ts";
import { type WantedFlags, wantedContracts } from "./wanted-contracts.ts";

export const DOCTOR_USAGE = `meshbus doctor [options]   what this host can do, and why a peer is not seen

  --mesh NAME        the mesh to look for (default: that of the keys, else "default")
  --keys FOLDER      the node's keys, where the mesh has them
  --listen HOST:PORT where the node would listen (default 127.0.0.1:0)
  --data-dir FOLDER  where its journal would be (default .meshbus)
  --peer ADDRESS     a peer to connect to: host:port, zmq://host:port, tcp://host:port; may be repeated
  --subject SUBJECT  what should arrive: who of the peers takes it, and in which versions
  --kind KIND        of the subject: event, command or query (default event)
  --contract-version N
                     the version of its contract at the side that sends
  --contracts FILE   instead: a module that exports contracts
  --group GROUP      who should take them
  --seconds N        how long to listen for announcements, 1 to 60 (default 2)
  --json             one JSON object: {"findings":[{"check","severity","finding","remedy"}],"problems":N}

Exit code 1 when there is a problem.
`;

/** Peers heard of by multicast that are tried as well. */
const HEARD_MAX = 8;

const MARKS: Record<Severity, string> = { ok: "ok     ", warning: "warning", problem: "PROBLEM" };

type DoctorOptions = {
  readonly mesh: string | undefined;
  readonly keys: string | undefined;
  readonly listen: ListenAddress;
  readonly dataDir: string;
  readonly peers: readonly string[];
  readonly forMs: number;
  readonly wanted: WantedFlags;
};

/** @throws Error when an argument is wrong. */
const readDoctorOptions = (args: readonly string[]): DoctorOptions & { json: boolean } => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      mesh: { type: "string" },
      keys: { type: "string" },
      listen: { type: "string", default: "127.0.0.1:0" },
      "data-dir": { type: "string", default: ".meshbus" },
      peer: { type: "string", multiple: true, default: [] },
      subject: { type: "string" },
      kind: { type: "string" },
      "contract-version": { type: "string" },
      contracts: { type: "string" },
      group: { type: "string" },
      seconds: { type: "string", default: "2" },
      json: { type: "boolean", default: false },
    },
  });
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(values.listen);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65_535) {
    throw new Error(`--listen ${values.listen} is not HOST:PORT`);
  }
  const seconds = Number(values.seconds);
  if (!(seconds >= 1 && seconds <= 60)) {
    throw new Error(`--seconds ${values.seconds} is not a number from 1 to 60`);
  }
  const { mesh, keys, peer: peers, json } = values;
  const forMs = Math.round(seconds * 1_000);
  const { subject, kind, "contract-version": version, contracts, group } = values;
  const wanted = { subject, kind, "contract-version": version, contracts, group };
  const where = { listen: { host, port }, dataDir: values["data-dir"] };
  return { mesh, keys, ...where, peers, forMs, wanted, json };
};

/** Everything that was looked at, in order; `say` hears of each finding as it comes. */
const examine = async (
  { mesh: given, keys, listen, dataDir, peers, forMs, wanted }: DoctorOptions,
  say: (finding: Finding) => void,
): Promise<Finding[]> => {
  const findings: Finding[] = [];
  const add = (found: readonly Finding[]): void => {
    for (const finding of found) {
      findings.push(finding);
      say(finding);
    }
  };
  const contracts = await wantedContracts(wanted);
  const { findings: ofKeys, security } = await checkKeys(keys, given);
  const mesh = given ?? security?.self.mesh ?? "default";
  add(await checkRuntime(mesh));
  add(ofKeys);
  add(await checkListen(listen, security !== undefined));
  add(await checkFolder(dataDir));
  const { findings: heard, nodes } = await checkNeighbours(mesh, forMs, security?.meshSecrets);
  add(heard);
  const told: PeerToCheck[] = peers.map((address) => ({ address }));
  const announced = nodes.slice(0, HEARD_MAX).flatMap(({ nodeId, addresses: [address] }) => {
    return address === undefined ? [] : [{ nodeId, address }];
  });
  const { findings: ofPeers, met } = await checkPeers(mesh, [...told, ...announced], security);
  add(ofPeers);
  add(checkContracts(contracts, met, mayGreet(security)));
  return findings;
};

/** The exit code. */
export const doctor = async (args: readonly string[]): Promise<number> => {
  const { json, ...options } = readDoctorOptions(args);
  const findings = await examine(options, (finding) => {
    if (!json) process.stdout.write(lineOf(finding));
  });
  const found = (severity: Severity): number =>
    findings.filter((finding) => finding.severity === severity).length;
  const problems = found("problem");
  process.stdout.write(
    json
      ? `${JSON.stringify({ findings, problems })}\n`
      : `${problems} problems, ${found("warning")} warnings\n`,
  );
  return problems === 0 ? 0 : 1;
};

const lineOf = ({ check, severity, finding, remedy }: Finding): string => {
  const line = `${MARKS[severity]} ${check.padEnd(10)} ${finding}\n`;
  return remedy === undefined ? line : `${line}${" ".repeat(19)}-> ${remedy}\n`;
};
