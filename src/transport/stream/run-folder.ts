/**
 * Where socket files lie that nobody named: a folder of this user alone.
 *
 * Problem: whoever can write to the folder can put a socket of its own there; processes that were killed leave their
 * files behind. Approach: the folder is made with mode 0700, and not used if it is another user's or open to others.
 * A file that nobody listens on, twice, some time apart, is left over and goes; one of a living process never does, for
 * that answers a connect.
 *
 * Bound: LEFTOVERS_MAX files are looked at.
 */
import { randomBytes } from "node:crypto";
import { chmodSync, lstatSync, mkdirSync, readdirSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { MeshError } from "../../errors.ts";

const LEFTOVERS_MAX = 256;
/** A process that has bound its file listens on it at once. */
const AGAIN_MS = 50;
const ENDING = ".sock";
const STICKY = 0o1000;

/** A file name in it that is free. @throws MeshError INVALID_OPTIONS */
export const newSocketPath = async (): Promise<string> => {
  const run = process.env.XDG_RUNTIME_DIR;
  const user = process.getuid?.() ?? "user";
  const folder = run ? join(run, "meshbus") : join(tmpdir(), `meshbus-${user}`);
  makePrivate(folder);
  await removeLeftovers(folder);
  return join(folder, `${randomBytes(9).toString("base64url")}${ENDING}`);
};

/** Nobody listens on the file any more: it goes. False: somebody does, or it is no socket. */
export const removeLeftover = async (path: string): Promise<boolean> => {
  if (!isSocket(path) || !(await isRefused(path))) return false;
  await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  if (!(await isRefused(path))) return false;
  try {
    unlinkSync(path);
  } catch {
    // another process was faster
  }
  return true;
};

/**
 * Whoever listens on the file is this user or root: nobody else can have put it there.
 * @throws MeshError UNAUTHORIZED; nothing when there is no such file
 */
export const assertOwn = (path: string): void => {
  const socket = lstatSync(path, { throwIfNoEntry: false });
  if (socket === undefined || process.getuid === undefined) return;
  const folder = lstatSync(dirname(path));
  const owners = [0, process.getuid()];
  const isOpen = (folder.mode & 0o022) !== 0 && (folder.mode & STICKY) === 0;
  if (owners.includes(socket.uid) && owners.includes(folder.uid) && !isOpen) return;
  const message = `socket file ${path} is another user's, or in a folder that others may write`;
  throw new MeshError("UNAUTHORIZED", `${message}: give unix() a path in a folder of this user`);
};

/** For this user alone. */
export const closeToOthers = (path: string): void => chmodSync(path, 0o600);

const makePrivate = (folder: string): void => {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const { mode, uid } = lstatSync(folder);
    const isFolder = (mode & 0o170_000) === 0o040_000;
    const isOwn = process.getuid === undefined || uid === process.getuid();
    if (isFolder && isOwn && (mode & 0o077) === 0) return;
  } catch (error) {
    const message = `folder ${folder} for socket files cannot be used`;
    throw new MeshError("INVALID_OPTIONS", message, { cause: error });
  }
  const message = `folder ${folder} for socket files is another user's, or open to others`;
  throw new MeshError("INVALID_OPTIONS", message);
};

const removeLeftovers = async (folder: string): Promise<void> => {
  const files = readdirSync(folder).filter((name) => name.endsWith(ENDING));
  await Promise.all(
    files.slice(0, LEFTOVERS_MAX).map((name) => removeLeftover(join(folder, name))),
  );
};

const isSocket = (path: string): boolean => {
  try {
    return lstatSync(path).isSocket();
  } catch {
    return false;
  }
};

const isRefused = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ path });
    socket.once("connect", () => {
      socket.destroy();
      resolve(false);
    });
    socket.once("error", (error: Error & { readonly code?: string }) => {
      resolve(error.code === "ECONNREFUSED");
    });
  });
