/**
 * One container: SERVICE=orders, billing or audit. Answers its probes from its first moment, is ready when its
 * node is, and drains when it is told to stop.
 */
import { createNode, dns, type MeshNode, mdns, stream } from "meshbus";
import { Probes } from "./probes.ts";
import { SERVE } from "./services.ts";
import { type Settings, settingsFrom } from "./settings.ts";

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const discoveryOf = ({ discoveryName, nameServers, meshPort: port }: Settings) => {
  if (discoveryName === "") return mdns();
  const servers = nameServers.length > 0 ? { servers: nameServers } : {};
  return dns(discoveryName, { port, scheme: "tcp", refreshMs: 2_000, ...servers });
};

const start = (settings: Settings): Promise<MeshNode> =>
  createNode({
    service: settings.service,
    mesh: settings.mesh,
    dataDir: settings.dataDir,
    listen: { host: settings.host },
    insecure: true, // no keys yet: the network must let only this mesh's own containers in
    transports: [stream({ port: settings.meshPort })],
    discovery: [discoveryOf(settings)],
    drainMs: settings.drainMs,
  });

const run = async (): Promise<void> => {
  const settings = settingsFrom(process.env);
  const { service, host, httpPort } = settings;
  const toldToStop = new Promise<void>((resolve) => {
    // A second signal changes nothing: what is under way gets its time.
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => resolve());
  });
  const probes = new Probes();
  say(`${service} answers probes at ${await probes.listen(host, httpPort)}`);
  const node = await start(settings);
  probes.started(node, await SERVE[service](node, settings));
  say(`${service} is ready as ${node.id}`);
  await toldToStop;
  const { pending } = await node.stop(); // not ready from here on; live until all is done
  say(`${service} has stopped, and ${pending} messages wait on its disk`);
  probes.close();
};

run().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
