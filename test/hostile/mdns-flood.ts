/**
 * A process that floods a multicast group on loopback with forged announcements and questions, at a rate.
 *
 * argv[2]: JSON of { port, trap, perSecond, forMs, names }. Tells its parent how many packets it sent, and ends.
 */
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { question, texts } from "./mdns-packets.ts";

type Given = {
  readonly port: number;
  readonly trap: string;
  readonly perSecond: number;
  readonly forMs: number;
  readonly names: number;
};

const TURN_MS = 20;
const { port, trap, perSecond, forMs, names } = JSON.parse(process.argv[2] ?? "{}") as Given;
const socket = createSocket({ type: "udp4", reuseAddr: true });
// From the port of mDNS: an answer from another one is not listened to.
socket.bind(port, "0.0.0.0");
await once(socket, "listening");
socket.setMulticastInterface("127.0.0.1");

const packets = Array.from({ length: 64 }, (_, n) => {
  if (n % 4 === 3) return question("_meshbus._tcp.local");
  const mac = `mac=${randomBytes(32).toString("base64url")}`;
  if (n % 4 === 2) return texts([{ name: "x", strings: ["v=2", `a0=${trap}`, mac] }]);
  return texts(
    Array.from({ length: names }, () => {
      const id = randomBytes(4).toString("hex");
      return { name: id, strings: ["v=2", `id=${id}`] };
    }),
  );
});
let sent = 0;
const startMs = performance.now();
const sending = setInterval(() => {
  const passedMs = performance.now() - startMs;
  while (sent < (passedMs * perSecond) / 1_000) {
    socket.send(packets[sent % packets.length] as Buffer, port, "224.0.0.251");
    sent++;
  }
  if (passedMs < forMs) return;
  clearInterval(sending);
  socket.close(() => process.send?.(sent, () => process.disconnect()));
}, TURN_MS);
