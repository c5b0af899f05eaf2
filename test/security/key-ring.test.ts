import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  chmodSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type KeyRing, type KeyRingOptions, keyRing } from "../../src/security/key-ring.ts";

/** Ends a wait that would be in vain. */
const DEADLINE_MS = 60_000;

let root: string;
let folder: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "meshbus-ring-"));
  folder = join(root, "ring");
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const ring = (options: Partial<KeyRingOptions> = {}): KeyRing => keyRing({ folder, ...options });
const file = (): string => readFileSync(join(folder, "keys.log"), "latin1");
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("a key ring", () => {
  it("keeps one key for a name, found by its id, also by who opens the folder later", () => {
    const first = ring();
    const { id, key } = first.sealing("c-1");
    expect(first.sealing("c-1")).toEqual({ id, key });
    expect(first.sealing("c-2").id).not.toEqual(id);
    const later = ring();
    expect(hex(later.opening(id) as Uint8Array)).toBe(hex(key));
    expect(hex(later.sealing("c-1").key)).toBe(hex(key));
    expect(later.opening(new Uint8Array(16))).toBeUndefined();
  });

  it("is private, and lists no names", () => {
    ring().sealing("ada@example.org");
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(statSync(join(folder, "keys.log")).mode & 0o777).toBe(0o600);
    expect(file()).not.toContain("ada@example");
    chmodSync(join(folder, "keys.log"), 0o644);
    expect(() => ring()).toThrow(expect.objectContaining({ code: "INVALID_KEYS" }));
  });

  it("changes the key of a name after its time and when told, and reads old ones", async () => {
    const keys = ring({ rotateAfterMs: 1_000 });
    const first = keys.sealing("c-1");
    const before = Date.now();
    while (Date.now() - before < 1_001) await new Promise((resolve) => setImmediate(resolve));
    const second = keys.sealing("c-1");
    expect(hex(second.id)).not.toBe(hex(first.id));
    keys.rotate("c-1");
    const third = ring().sealing("c-1");
    expect(new Set([first, second, third].map(({ id }) => hex(id))).size).toBe(3);
    for (const { id, key } of [first, second, third]) {
      expect(hex(keys.opening(id) as Uint8Array)).toBe(hex(key));
    }
  });

  it("destroys every key of a name that is forgotten, on the disk too", () => {
    const keys = ring();
    const mine = keys.sealing("c-1");
    keys.rotate("c-1");
    const [secret, renewed] = [hex(mine.key), hex(keys.sealing("c-1").key)];
    const other = keys.sealing("c-2");
    expect(file()).toContain(secret);
    expect(keys.forget("c-1")).toBe(2);
    expect(keys.forget("c-1")).toBe(0);
    expect(file()).not.toContain(secret);
    expect(file()).not.toContain(renewed);
    for (const each of [keys, ring()]) {
      expect(each.opening(mine.id)).toBe("erased");
      expect(hex(each.opening(other.id) as Uint8Array)).toBe(hex(other.key));
      expect(() => each.sealing("c-1")).toThrow(/forgotten/);
    }
    expect(keys.forget("c-3")).toBe(0);
    expect(() => keys.sealing("c-3")).toThrow(/forgotten/);
  });

  it("makes up for a stop between saying that a name is forgotten and writing over its keys", () => {
    const keys = ring();
    const { id, key } = keys.sealing("c-1");
    const secret = hex(key);
    const owner = (JSON.parse(file().trim().split("\n").at(-1) ?? "") as { name: string }).name;
    appendFileSync(join(folder, "keys.log"), `${JSON.stringify({ forget: owner })}\n`);
    const next = ring();
    expect(next.opening(id)).toBe("erased");
    expect(file()).not.toContain(secret);
  });

  it("ignores half a line that a stop left, and goes on after it", () => {
    const { id } = ring().sealing("c-1");
    appendFileSync(join(folder, "keys.log"), '{"name":"ab","id":"cd');
    const keys = ring();
    const next = keys.sealing("c-2");
    for (const each of [keys, ring()]) {
      expect(each.opening(id)).toBeInstanceOf(Uint8Array);
      expect(hex(each.opening(next.id) as Uint8Array)).toBe(hex(next.key));
    }
  });

  it("hears at once of keys that others make, and soon of what they forget", async () => {
    const [a, b] = [ring(), ring()];
    const made = a.sealing("c-1");
    expect(hex(b.opening(made.id) as Uint8Array)).toBe(hex(made.key));
    a.forget("c-1");
    const beganMs = performance.now();
    while (b.opening(made.id) !== "erased") {
      expect(performance.now() - beganMs).toBeLessThan(DEADLINE_MS);
      await new Promise((resolve) => setImmediate(resolve));
    }
  });

  it("holds as many keys as it may, and says so", () => {
    const keys = ring({ keysMax: 2 });
    keys.sealing("a");
    keys.sealing("b");
    expect(() => keys.sealing("c")).toThrow(/keysMax is 2/);
    expect(keys.sealing("a").key).toHaveLength(32);
  });

  it("refuses options and files that are none of its", () => {
    const code = (name: string): object => expect.objectContaining({ code: name });
    expect(() => ring({ rotateAfterMs: 5 })).toThrow(code("INVALID_OPTIONS"));
    expect(() => ring({ keysMax: 0 })).toThrow(code("INVALID_OPTIONS"));
    expect(() => keyRing({ folder: "" })).toThrow(code("INVALID_OPTIONS"));
    ring();
    writeFileSync(join(folder, "keys.log"), "junk\n");
    expect(() => ring()).toThrow(code("INVALID_KEYS"));
  });
});

const WRITER = `
const { keyRing } = await import(${JSON.stringify(join(import.meta.dirname, "../../dist/security/key-ring.js"))});
const [folder, name] = process.argv.slice(1);
const keys = keyRing({ folder });
for (let n = 0; ; n++) {
  const { id, key } = keys.sealing(name + "-" + n);
  const said = [id, key].map((bytes) => Buffer.from(bytes).toString("hex")).join(" ");
  await new Promise((resolve) => process.stdout.write(said + "\\n", resolve));
  if (n % 3 === 2) {
    keys.forget(name + "-" + (n - 1));
    await new Promise((resolve) => process.stdout.write("forgot " + (n - 1) + "\\n", resolve));
  }
}
`;

describe("processes that share a key ring", () => {
  it("lose no key that was given out and keep none that was forgotten, though they are killed", async () => {
    for (let round = 0; round < 3; round++) {
      const writers = ["p", "q", "r"].map((name) => new Writer(`${name}${round}`, folder));
      await Promise.all(writers.map((writer) => writer.lines(12)));
      await Promise.all(writers.map((writer) => writer.kill()));
      const keys = ring();
      const text = file();
      for (const { given, forgotten } of writers) {
        expect(given.length).toBeGreaterThan(5);
        for (const [n, [id = "", key = ""]] of given.entries()) {
          const opened = keys.opening(Buffer.from(id, "hex"));
          // What was being forgotten when it was killed may be either.
          if (forgotten.has(n)) {
            expect(opened).toBe("erased");
            expect(text).not.toContain(key);
          } else if (opened !== "erased") {
            expect(hex(opened as Uint8Array)).toBe(key);
          } else expect(n).toBeGreaterThan(Math.max(-1, ...forgotten));
        }
      }
    }
  });
});

class Writer {
  readonly given: string[][] = [];
  readonly forgotten = new Set<number>();
  readonly #child: ChildProcess;
  readonly #ended: Promise<never>;
  #rest = "";
  #count = 0;

  constructor(name: string, folder: string) {
    const args = ["--input-type=module", "-e", WRITER, "--", folder, name];
    this.#child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    this.#ended = once(this.#child, "close").then(([code, signal]) => {
      throw new Error(`${name} ended: ${code ?? signal}`);
    });
    this.#ended.catch(() => {});
    this.#child.stdout?.on("data", (bytes: Buffer) => {
      const lines = (this.#rest + bytes.toString()).split("\n");
      this.#rest = lines.pop() ?? "";
      for (const line of lines) {
        this.#count++;
        if (line.startsWith("forgot ")) this.forgotten.add(Number(line.slice(7)));
        else this.given.push(line.split(" "));
      }
    });
  }

  async lines(count: number): Promise<void> {
    const { stdout } = this.#child;
    while (this.#count < count) {
      await Promise.race([once(stdout as NodeJS.ReadableStream, "data"), this.#ended]);
    }
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended.catch(() => {});
  }
}
