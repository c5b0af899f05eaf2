/**
 * A disk whose power can be cut: an ext4 image behind a loop device, and a helper that shuts it down.
 *
 * Killing a process shows nothing about durability: the page cache survives it. The ext4 shutdown ioctl
 * without a log flush drops what was written and not synced, as a machine without power does: after the
 * next mount only what a sync covered is there. The helper waits on a pipe, so that one byte written right
 * after an acknowledgement cuts before anything else can be flushed.
 *
 * Only inside a mount namespace of its own: no mount outlives the process that made it.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, open } from "node:fs/promises";
import type { Writable } from "node:stream";
import { promisify } from "node:util";

const run = promisify(execFile);

/** EXT4_IOC_SHUTDOWN, `_IOR('X', 125, __u32)`, with EXT4_GOING_FLAGS_NOLOGFLUSH. */
const HELPER = `
  open(my $disk, "<", $ARGV[0]) or die "open $ARGV[0]: $!";
  $| = 1; print "armed\\n";
  sysread(STDIN, my $byte, 1) or exit 1;
  select(undef, undef, undef, $ARGV[1] / 1000) if $ARGV[1] > 0;
  my $flags = pack("L", 2);
  ioctl($disk, 0x8004587d, $flags) or die "ioctl: $!";
  print "cut\\n";
`;

export class LoopDisk {
  readonly folder: string;
  readonly #image: string;
  #helper: ChildProcess | undefined;
  #isMounted = false;
  #cut: Promise<void> = Promise.resolve();

  private constructor(folder: string) {
    this.folder = folder;
    this.#image = `${folder}.ext4`;
  }

  static async create(folder: string, bytes: number): Promise<LoopDisk> {
    const disk = new LoopDisk(folder);
    const file = await open(disk.#image, "w");
    await file.truncate(bytes);
    await file.close();
    await run("mkfs.ext4", ["-q", "-F", disk.#image]);
    await mkdir(folder);
    return disk;
  }

  /** Where a byte cuts the power. */
  get pipe(): Writable {
    const stdin = this.#helper?.stdin;
    if (!stdin) throw new Error("the disk is not mounted");
    return stdin;
  }

  /** Resolves when the power is cut; rejects when the helper ends without. */
  get cut(): Promise<void> {
    return this.#cut;
  }

  /** The cut comes `delayMs` after the byte. */
  async mount(delayMs: number): Promise<void> {
    await run("mount", ["-o", "loop", this.#image, this.folder]);
    this.#isMounted = true;
    const helper = spawn("perl", ["-e", HELPER, this.folder, String(delayMs)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#helper = helper;
    helper.stdin?.on("error", () => {});
    const [armed] = (await once(helper.stdout, "data")) as [Buffer];
    if (armed.toString() !== "armed\n") throw new Error(`the helper said ${armed}`);
    this.#cut = once(helper, "close").then(([code]) => {
      if (code !== 0) throw new Error(`the power was not cut: exit code ${code}`);
    });
    this.#cut.catch(() => {}); // reported where it is waited for
  }

  /** Nothing may use it any more. What was not synced is gone with it if the power was cut. */
  async unmount(): Promise<void> {
    if (!this.#isMounted) return;
    this.#helper?.stdin?.destroy();
    await this.#cut.catch(() => {});
    await run("umount", [this.folder]);
    this.#isMounted = false;
  }
}
