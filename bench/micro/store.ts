/**
 * What a synced commit costs in each engine, beside a bare file append with fdatasync: the floor of any
 * durable store. The cases take turns within one run; only their ratios mean something, because a disk's
 * sync time moves with the machine and its neighbours. Also: the memory a million records leave behind.
 *
 * Run: node .build/bench/micro/store.js [--quick] [--json] [--dir <folder>]
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lmdbEngine } from "../../src/journal/lmdb/lmdb-engine.ts";
import { memoryEngine } from "../../src/journal/memory/memory-engine.ts";
import { walEngine } from "../../src/journal/wal/wal-engine.ts";
import type { JournalStore, StoreWrite } from "../../src/ports/journal-store.ts";

const RECORD_BYTES = 200;
const BLOCK_BYTES = 64 * 1024;
const KEPT_BLOCKS = 256;
const BYTES_MAX = 2 ** 32;
const CURSOR_KEY = new TextEncoder().encode("subscription");

const quick = process.argv.includes("--quick");
const json = process.argv.includes("--json");
const dirAt = process.argv.indexOf("--dir");
const base = dirAt > 0 ? (process.argv[dirAt + 1] ?? tmpdir()) : tmpdir();

type Case = {
  readonly name: string;
  readonly bytes: number;
  readonly depth: number;
  commit(n: number): Promise<void>;
};
type Result = {
  readonly name: string;
  readonly perSecond: number;
  readonly mebibytesPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
};

function key(n: number): Uint8Array {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setBigUint64(8, BigInt(n));
  return bytes;
}

const record = new Uint8Array(RECORD_BYTES).fill(1);
const block = new Uint8Array(BLOCK_BYTES).fill(2);

/** A block and a cursor row; the log keeps a bounded length, as the journal's does. */
function blockWrites(n: number): StoreWrite[] {
  const writes: StoreWrite[] = [
    { table: "log", key: key(n), value: block },
    { table: "cursor", key: CURSOR_KEY, value: key(n) },
  ];
  if (n >= KEPT_BLOCKS) writes.push({ table: "log", key: key(n - KEPT_BLOCKS), value: undefined });
  return writes;
}

function storeCases(name: string, store: JournalStore): Case[] {
  const one = (n: number) => store.commit([{ table: "meta", key: key(n % 1024), value: record }]);
  const whole = (n: number) => store.commit(blockWrites(n));
  return [
    { name: `${name}: 200 B`, bytes: RECORD_BYTES, depth: 1, commit: one },
    { name: `${name}: 64 KiB + cursor`, bytes: BLOCK_BYTES, depth: 1, commit: whole },
    { name: `${name}: 64 KiB + cursor, 8 at once`, bytes: BLOCK_BYTES, depth: 8, commit: whole },
  ];
}

function fileCases(handle: FileHandle): Case[] {
  const append = (bytes: Uint8Array) => async () => {
    await handle.write(bytes);
    await handle.datasync();
  };
  return [
    { name: "file: 200 B", bytes: RECORD_BYTES, depth: 1, commit: append(record) },
    { name: "file: 64 KiB", bytes: BLOCK_BYTES, depth: 1, commit: append(block) },
  ];
}

/** Runs for `runMs` with `depth` commits under way. Returns the latencies and the seconds taken. */
async function run(subject: Case, runMs: number, counter: { n: number }) {
  const latenciesMs: number[] = [];
  const startedMs = performance.now();
  const endMs = startedMs + runMs;
  const lane = async () => {
    for (let atMs = performance.now(); atMs < endMs; ) {
      await subject.commit(counter.n++);
      const nowMs = performance.now();
      latenciesMs.push(nowMs - atMs);
      atMs = nowMs;
    }
  };
  await Promise.all(Array.from({ length: subject.depth }, lane));
  return { latenciesMs, seconds: (performance.now() - startedMs) / 1_000 };
}

async function measure(cases: readonly Case[]): Promise<Result[]> {
  const rounds = quick ? 2 : 6;
  const runMs = quick ? 150 : 600;
  const taken = cases.map((subject) => ({
    subject,
    counter: { n: 0 },
    latenciesMs: [] as number[],
    seconds: 0,
  }));
  for (const { subject, counter } of taken) await run(subject, runMs / 4, counter); // warm-up
  for (let round = 0; round < rounds; round += 1) {
    for (const entry of taken) {
      const { latenciesMs, seconds } = await run(entry.subject, runMs, entry.counter);
      entry.latenciesMs = entry.latenciesMs.concat(latenciesMs);
      entry.seconds += seconds;
    }
  }
  return taken.map(({ subject, latenciesMs, seconds }) => {
    const sorted = latenciesMs.sort((a, b) => a - b);
    const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
    const perSecond = sorted.length / seconds;
    const mebibytesPerSecond = (perSecond * subject.bytes) / 2 ** 20;
    return { name: subject.name, perSecond, mebibytesPerSecond, p50Ms: at(0.5), p99Ms: at(0.99) };
  });
}

function anonymousKibibytes(): number {
  try {
    return Number(/RssAnon:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
  } catch {
    return Number.NaN;
  }
}

/** A million records of 200 B, in blocks of 64 KiB. */
async function memoryAfterMillion(dataDir: string): Promise<string> {
  const store = await walEngine(lmdbEngine()).open({ dataDir, bytesMax: BYTES_MAX });
  const before = anonymousKibibytes();
  const blocks = Math.ceil((1_000_000 * RECORD_BYTES) / BLOCK_BYTES);
  for (let n = 0; n < blocks; n += 1) {
    await store.commit([{ table: "log", key: key(n), value: block }]);
  }
  let read = 0;
  for (let n = 0; n < blocks; n += 16) {
    read += store.scan("log", { from: key(n), limit: 16 }).length;
  }
  const grown = (anonymousKibibytes() - before) / 1024;
  const fileMebibytes = store.bytesOnDisk() / 2 ** 20;
  await store.close();
  return `${read} blocks: file ${fileMebibytes.toFixed(0)} MiB, RssAnon +${grown.toFixed(1)} MiB`;
}

const folder = mkdtempSync(join(base, "meshbus-bench-"));
try {
  const lmdb = await lmdbEngine().open({ dataDir: join(folder, "lmdb"), bytesMax: BYTES_MAX });
  const wal = await walEngine(lmdbEngine()).open({
    dataDir: join(folder, "wal"),
    bytesMax: BYTES_MAX,
  });
  const memory = await memoryEngine().open({ dataDir: ":memory:", bytesMax: BYTES_MAX });
  const handle = await open(join(folder, "file"), "a");
  const results = await measure([
    ...fileCases(handle),
    ...storeCases("lmdb", lmdb),
    ...storeCases("wal", wal),
  ]);
  results.push(...(await measure(storeCases("memory", memory))));
  await Promise.all([lmdb.close(), wal.close(), memory.close(), handle.close()]);
  const million = quick ? "skipped" : await memoryAfterMillion(join(folder, "million"));
  if (json) {
    console.log(JSON.stringify({ node: process.version, results, million }));
  } else {
    for (const { name, perSecond, mebibytesPerSecond, p50Ms, p99Ms } of results) {
      const rate = `${perSecond.toFixed(0).padStart(8)}/s ${mebibytesPerSecond.toFixed(1).padStart(8)} MiB/s`;
      console.log(`${name.padEnd(38)}${rate}  p50 ${p50Ms.toFixed(3)} p99 ${p99Ms.toFixed(3)} ms`);
    }
    console.log(`a million records of 200 B in ${million}`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
