/**
 * A process that opens sockets, says the beginning of a handshake in each, and holds them: PORT COUNT HEX. Its line is
 * said when the system has connected them all; it ends with its standard input.
 */
import { connect } from "node:net";

const [port, count, hex = ""] = process.argv.slice(2);
const beginning = Buffer.from(hex, "hex");
let connected = 0;
for (let n = 0; n < Number(count); n++) {
  const socket = connect(Number(port), "127.0.0.1");
  socket.on("error", () => {});
  socket.once("connect", () => {
    socket.write(beginning);
    if (++connected === Number(count)) process.stdout.write(`${connected}\n`);
  });
}
process.stdin.resume();
process.stdin.once("end", () => process.exit(0));
