/**
 * Sends and receives datagrams on the host where it runs: `network-probe <own address>`. A line
 * `{"to": address, "texts": [...]}` on stdin sends them; each one received is a line `{"text", "atMs"}` on stdout.
 * Also those for mDNS's group.
 */
import { createSocket } from "node:dgram";
import { createInterface } from "node:readline";
import { nowMs } from "../chaos/chaos-record.ts";

const PORT = 7;
const GROUP = "224.0.0.251";

const [own = ""] = process.argv.slice(2);
const socket = createSocket("udp4");
const say = (what: unknown): void => void process.stdout.write(`${JSON.stringify(what)}\n`);

socket.on("message", (bytes) => say({ text: bytes.toString(), atMs: nowMs() }));
socket.bind(PORT, "0.0.0.0", () => {
  socket.addMembership(GROUP, own);
  socket.setMulticastInterface(own);
  socket.setMulticastLoopback(false);
  say("ready");
});

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const { to, texts } = JSON.parse(line) as { to: string; texts: string[] };
    for (const text of texts) socket.send(text, PORT, to);
  })
  .on("close", () => process.exit(0));
