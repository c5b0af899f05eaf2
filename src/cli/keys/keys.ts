/**
 * meshbus keys: the authority of a mesh, its issuers and its nodes.
 *
 * Each command is a call of meshbus/security and a few words about what it did.
 */
import { readFileSync } from "node:fs";
import {
  type Authority,
  beginRotation,
  type CertificateFacts,
  createAuthority,
  createIssuer,
  createToken,
  deliverTrust,
  finishRotation,
  inspectCertificates,
  issueKeys,
  joinMesh,
  type KeysFacts,
  openAuthority,
  type RevokeTarget,
  renewFromIssuer,
  renewIssuer,
  renewKeys,
  revoke,
  serveIssuer,
  switchRotation,
} from "../../security/index.ts";
import { type FlagNames, type Flags, readFlags } from "./keys-flags.ts";
import { KEYS_USAGE } from "./keys-usage.ts";

/** What a command did: for `--json`, and in words. */
type Report = { readonly json: object; readonly text: string };
type Command = { readonly flags: FlagNames; run(flags: Flags): Report | Promise<Report> };

const AUTHORITY = "./authority";
const ISSUER = "./issuer";

/** The exit code. @throws Error, MeshError */
export const keys = async (args: readonly string[]): Promise<number> => {
  const [name, ...rest] = args;
  const command = COMMANDS[name ?? ""];
  if (command === undefined || rest.includes("--help")) {
    process.stdout.write(KEYS_USAGE);
    if (name === undefined || name === "--help" || command !== undefined) return 0;
    process.stderr.write(`meshbus: keys has no command "${name}"\n`);
    return 2;
  }
  const flags = readFlags(rest, command.flags);
  const { json, text } = await command.run(flags);
  process.stdout.write(flags.has("json") ? `${JSON.stringify(json)}\n` : text);
  return 0;
};

const authorityOf = (flags: Flags): Authority =>
  openAuthority(flags.text("authority") ?? AUTHORITY);

const init = (flags: Flags): Report => {
  const folder = flags.text("out") ?? AUTHORITY;
  const lifeMs = flags.ms("days");
  const mesh = flags.required("mesh");
  const { signing } = createAuthority(folder, {
    mesh,
    ...(lifeMs === undefined ? {} : { lifeMs }),
  });
  const { keyId, notAfterMs } = signing.certificate;
  const json = { mesh, folder, keyId, notAfter: dateOf(notAfterMs) };
  const text = `${folder} is the authority of the mesh ${mesh} until ${json.notAfter}; keep it offline\n`;
  return { json, text };
};

const issue = (flags: Flags): Report => {
  const folder = flags.required("out");
  const lifeMs = flags.ms("days");
  const nodeId = flags.text("node");
  const service = flags.required("service");
  const issued = issueKeys(authorityOf(flags), folder, {
    service,
    ...flags.rights(),
    ...(lifeMs === undefined ? {} : { lifeMs }),
    ...(nodeId === undefined ? {} : { nodeId }),
  });
  return issuedReport(folder, issued, `${folder} holds the keys of ${service}`);
};

const renew = async (flags: Flags): Promise<Report> => {
  const folder = flags.required("keys");
  const authority = flags.text("authority");
  if (authority !== undefined) {
    return issuedReport(
      folder,
      renewKeys(openAuthority(authority), folder),
      `${folder} is renewed`,
    );
  }
  await renewFromIssuer(folder);
  const [leaf] = inspectCertificates(folder).certificates;
  const json = { folder, ...leaf };
  return { json, text: `${folder} is renewed until ${leaf?.notAfter}\n` };
};

const issuedReport = (
  folder: string,
  { nodeId, serial, notAfterMs }: { nodeId: string; serial: string; notAfterMs: number },
  said: string,
): Report => {
  const json = { folder, nodeId, serial, notAfter: dateOf(notAfterMs) };
  return { json, text: `${said}: node ${nodeId}, serial ${serial}, until ${json.notAfter}\n` };
};

const inspect = (flags: Flags): Report => {
  const facts = inspectCertificates(flags.operands[0] ?? ".");
  return { json: facts, text: factsText(facts) };
};

const revokeCommand = (flags: Flags): Report => {
  const authority = authorityOf(flags);
  const result = revoke(authority, targetOf(flags));
  const delivered = deliver(authority, flags);
  const said = result.added ? "revoked" : "revoked before";
  const json = { ...result, delivered };
  return { json, text: `${said}: list ${result.number}\n${deliveredText(delivered)}` };
};

const targetOf = (flags: Flags): RevokeTarget => {
  const given = ["serial", "node", "certificate"].filter((name) => flags.text(name) !== undefined);
  if (given.length !== 1) throw new Error("give one of --serial, --node and --certificate");
  const nodeId = flags.text("node");
  if (nodeId !== undefined) return { nodeId };
  const file = flags.text("certificate");
  if (file === undefined) return { serial: flags.required("serial") };
  const [first] = inspectCertificates(file).certificates;
  return { serial: first?.serial ?? "" };
};

const rotate = (flags: Flags): Report => {
  const authority = authorityOf(flags);
  const steps = ["begin", "switch", "finish"].filter((step) => flags.has(step));
  const [step] = steps;
  if (step === undefined || steps.length > 1) throw new Error("give --begin, --switch or --finish");
  const lifeMs = flags.ms("days");
  const { keyId } = {
    begin: () => beginRotation(authority, lifeMs),
    switch: () => switchRotation(authority),
    finish: () => finishRotation(authority),
  }[step as "begin" | "switch" | "finish"]();
  const delivered = deliver(authority, flags);
  const said = {
    begin: `authority ${keyId} is made, and trusted beside the one that signs: let every node hear of it, then --switch`,
    switch: `authority ${keyId} signs from now on: renew every certificate, then --finish`,
    finish: `authority ${keyId} is not trusted any more`,
  }[step as "begin" | "switch" | "finish"];
  return { json: { step, keyId, delivered }, text: `${said}\n${deliveredText(delivered)}` };
};

const issuer = (flags: Flags): Report => {
  const folder = flags.required("out");
  const authority = authorityOf(flags);
  const lifeMs = flags.ms("days");
  const isThere = inspectRole(folder) === "issuer";
  if (isThere) renewIssuer(authority, openAuthority(folder), lifeMs);
  else createIssuer(authority, folder, lifeMs);
  const { keyId, notAfterMs, serial } = openAuthority(folder).signing.certificate;
  const json = { folder, keyId, serial, notAfter: dateOf(notAfterMs), renewed: isThere };
  const said = isThere ? "is renewed as an issuer" : "is an issuer";
  return { json, text: `${folder} ${said} of the mesh ${authority.mesh} until ${json.notAfter}\n` };
};

const token = (flags: Flags): Report => {
  const folder = flags.text("issuer") ?? ISSUER;
  const lifeMs = flags.ms("days");
  const expireMs = flags.ms("minutes");
  const made = createToken(openAuthority(folder), {
    service: flags.required("service"),
    ...flags.rights(),
    ...(lifeMs === undefined ? {} : { lifeMs }),
    ...(expireMs === undefined ? {} : { expireMs }),
  });
  return { json: { token: made }, text: `${made}\n` };
};

const serve = async (flags: Flags): Promise<Report> => {
  const folder = flags.text("issuer") ?? ISSUER;
  const listen = flags.text("listen") ?? "127.0.0.1:7480";
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(listen);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined) throw new Error(`--listen ${listen} is not HOST:PORT`);
  const isJson = flags.has("json");
  const say = (event: string, fields: object = {}): void => {
    const line = isJson
      ? JSON.stringify({ event, ...fields })
      : `${event} ${Object.entries(fields)
          .map(([name, value]) => `${name}=${value}`)
          .join(" ")}`;
    process.stdout.write(`${line}\n`);
  };
  const logger = { debug: () => {}, info: say, warn: say, error: say };
  const authority = openAuthority(folder);
  const service = await serveIssuer(authority, { host, port: Number(match?.[3]), logger });
  say("listening", { mesh: authority.mesh, address: service.address });
  await new Promise<void>((resolve) => {
    process.once("SIGTERM", resolve).once("SIGINT", resolve);
  });
  await service.stop();
  return { json: { event: "stopped" }, text: "stopped\n" };
};

const join = async (flags: Flags): Promise<Report> => {
  const given = flags.required("token");
  const text = given === "-" ? readFileSync(0, "utf8") : given;
  const folder = flags.required("out");
  const joined = await joinMesh(folder, { issuer: flags.required("issuer"), token: text });
  const { mesh, service, nodeId, notAfterMs } = joined;
  const json = { folder, mesh, service, nodeId, notAfter: dateOf(notAfterMs) };
  const said = `${folder} holds the keys of ${service} in the mesh ${mesh}`;
  return { json, text: `${said}: node ${nodeId}, until ${json.notAfter}\n` };
};

const COMMANDS: Readonly<Record<string, Command>> = {
  init: { flags: { texts: ["mesh", "out", "days"] }, run: init },
  issue: { flags: { texts: ["service", "out", "days", "node"], rights: true }, run: issue },
  renew: { flags: { texts: ["keys"] }, run: renew },
  inspect: { flags: { operands: 1 }, run: inspect },
  revoke: {
    flags: { texts: ["serial", "node", "certificate"], lists: ["to"] },
    run: revokeCommand,
  },
  rotate: {
    flags: { texts: ["days"], lists: ["to"], switches: ["begin", "switch", "finish"] },
    run: rotate,
  },
  issuer: { flags: { texts: ["out", "days"] }, run: issuer },
  token: { flags: { texts: ["service", "days", "minutes", "issuer"], rights: true }, run: token },
  serve: { flags: { texts: ["issuer", "listen"] }, run: serve },
  join: { flags: { texts: ["issuer", "token", "out"] }, run: join },
};

type Delivered = { readonly folder: string; readonly list: "new" | "old" };

const deliver = (authority: Authority, flags: Flags): Delivered[] =>
  flags.list("to").map((folder) => ({ folder, list: deliverTrust(authority, folder) }));

const deliveredText = (delivered: readonly Delivered[]): string =>
  delivered
    .map(({ folder, list }) => `${folder} ${list === "new" ? "has the list" : "had it already"}\n`)
    .join("");

const inspectRole = (folder: string): string | undefined => {
  try {
    return inspectCertificates(folder).certificates[0]?.role;
  } catch {
    return undefined;
  }
};

const factsText = ({ certificates, revocations }: KeysFacts): string => {
  const list =
    revocations === undefined
      ? ""
      : `list     ${revocations.number}, ${revocations.entries} entries, made ${revocations.made}\n`;
  return certificates.map(certificateText).join("\n") + list;
};

const certificateText = ({
  name,
  state,
  serial,
  notBefore,
  notAfter,
  rights,
  curve,
}: CertificateFacts): string => {
  const lines = [
    `name     ${name}`,
    `state    ${state}`,
    `serial   ${serial}`,
    `valid    ${notBefore} to ${notAfter}`,
  ];
  for (const [verb, grants] of Object.entries({ allow: rights?.allow, deny: rights?.deny })) {
    for (const [action, patterns] of Object.entries(grants ?? {})) {
      if (patterns.length > 0) lines.push(`${verb.padEnd(8)} ${action} ${patterns.join(" ")}`);
    }
  }
  if (rights !== undefined) lines.push(`admin    ${rights.admin}`);
  if (curve !== undefined) lines.push(`curve    ${curve.base64url}`);
  return `${lines.join("\n")}\n`;
};

const dateOf = (ms: number): string => new Date(ms).toISOString();
