/**
 * One process opens a data folder.
 *
 * Problem: two processes on one journal would give positions twice. The lock has to vanish with its
 * holder (SIGKILL, power cut), must not be fooled by a reused process id, and Node has no flock.
 * Approach: the lock is a listening socket, which the kernel closes with its process; no process id is
 * ever compared. On Linux two of them:
 * - an abstract socket named after the folder's device and inode (the same through every mount, link
 *   and spelling): binding it is atomic, so of several starters one wins. It lives in one network
 *   namespace, which leaves containers that share a volume;
 * - `lock.sock` inside the folder: whoever can connect to it has found a living holder, across network
 *   and process namespaces of one machine. A refused connection proves a dead holder.
 * Elsewhere: a named pipe (Windows), or `lock.sock` alone. The file `lock.pid` only names the holder
 * in the error message; nothing is decided by it.
 * Rejected: pid + boot id + start time (blind across process namespaces, and a restarted container
 * could never tell a dead holder from a living one).
 * Limits: two starters in different network namespaces that find the same dead holder within the same
 * millisecond may both win; machines that share a folder over a network file system are not told
 * apart at all. A local user may squat the abstract name, which refuses a start and nothing worse.
 */

import { createHash } from "node:crypto";
import {
  chmodSync,
  closeSync,
  openSync,
  readFileSync,
  realpathSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { createConnection, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MeshError } from "../../errors.ts";

const SOCKET_PATH_BYTES_MAX = 100;
/** What bind answers on a file system that holds no sockets, or no more files. */
const NO_SOCKET_HERE = new Set([
  ...["EPERM", "ENOTSUP", "EOPNOTSUPP", "EINVAL", "ENOSYS"],
  ...["ENOSPC", "EDQUOT"],
]);
const NOBODY_LISTENS = new Set(["ECONNREFUSED", "ENOENT", "ENOTSOCK"]);

export class FolderLock {
  readonly #servers: Server[] = [];
  readonly #dataDir: string;
  #folderFd: number | undefined;

  private constructor(dataDir: string) {
    this.#dataDir = dataDir;
  }

  /** `dataDir` must exist. @throws MeshError JOURNAL_LOCKED */
  static async acquire(dataDir: string): Promise<FolderLock> {
    const lock = new FolderLock(dataDir);
    try {
      const bound = await lock.#bindName();
      await lock.#bindSocket(bound);
      lock.#writePid();
      return lock;
    } catch (error) {
      await lock.#drop();
      throw error;
    }
  }

  async release(): Promise<void> {
    try {
      unlinkSync(this.#pidPath());
    } catch {
      // Only the name in a message is lost.
    }
    await this.#drop();
  }

  /** Takes the machine-wide name, where the platform has one. */
  async #bindName(): Promise<boolean> {
    const { dev, ino } = statSync(this.#dataDir, { bigint: true });
    let name: string;
    if (process.platform === "linux") name = `\0meshbus-${dev}-${ino}`;
    else if (process.platform === "win32") name = `\\\\.\\pipe\\meshbus-${this.#hash()}`;
    else return false;
    try {
      this.#servers.push(await listen(name));
    } catch (error) {
      if (codeOf(error) === "EADDRINUSE" || codeOf(error) === "EACCES") throw this.#locked(error);
      throw error;
    }
    return true;
  }

  async #bindSocket(nameBound: boolean): Promise<void> {
    if (process.platform === "win32") return;
    const path = this.#socketPath();
    if (await isListening(path)) throw this.#locked(undefined);
    try {
      unlinkSync(path);
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw error;
    }
    try {
      this.#servers.push(await listen(path));
      chmodSync(path, 0o600);
    } catch (error) {
      if (codeOf(error) === "EADDRINUSE") throw this.#locked(error);
      if (!nameBound || !NO_SOCKET_HERE.has(codeOf(error) ?? "")) throw error;
    }
  }

  /** Socket paths are short; on Linux the folder's descriptor stands in for a long one. */
  #socketPath(): string {
    if (process.platform === "linux") {
      this.#folderFd = openSync(this.#dataDir, "r");
      return `/proc/self/fd/${this.#folderFd}/lock.sock`;
    }
    const path = join(this.#dataDir, "lock.sock");
    if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) return path;
    return join(tmpdir(), `meshbus-${this.#hash()}.sock`);
  }

  #writePid(): void {
    try {
      writeFileSync(this.#pidPath(), `${process.pid}\n`, { mode: 0o600 });
    } catch {
      // On a full disk the lock still holds, without its holder's name.
    }
  }

  #hash(): string {
    return createHash("sha256").update(realpathSync(this.#dataDir)).digest("hex").slice(0, 24);
  }

  #pidPath(): string {
    return join(this.#dataDir, "lock.pid");
  }

  async #drop(): Promise<void> {
    // Closing removes lock.sock by its path, so the folder's descriptor must outlive it.
    for (const server of this.#servers.splice(0)) {
      await new Promise<void>((resolve) => server.close(() => resolve()));
    }
    if (this.#folderFd !== undefined) closeSync(this.#folderFd);
    this.#folderFd = undefined;
  }

  #locked(cause: unknown): MeshError {
    let pid: number | undefined;
    try {
      pid = Number.parseInt(readFileSync(this.#pidPath(), "utf8"), 10);
    } catch {
      // The holder has not written its name yet.
    }
    const holder = Number.isInteger(pid) ? `process ${pid}` : "another process";
    return new MeshError("JOURNAL_LOCKED", `${this.#dataDir} is open in ${holder}`, {
      cause,
      details: { dataDir: this.#dataDir, ...(Number.isInteger(pid) ? { pid } : {}) },
    });
  }
}

function listen(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", reject);
    // exclusive: a cluster's workers would otherwise share one handle, and so the lock.
    server.listen({ path, exclusive: true }, () => {
      server.off("error", reject);
      server.on("error", () => {}); // an accept that fails (EMFILE) does not end the lock
      server.unref();
      resolve(server);
    });
  });
}

/** True unless the kernel says that nobody listens: in doubt the folder counts as taken. */
function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ path });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error) => resolve(!NOBODY_LISTENS.has(codeOf(error) ?? "")));
  });
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}
