/** Makes the names in a folder durable: a file that is synced may still be missing from its folder after a power cut. */

import { open } from "node:fs/promises";

export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return; // a folder cannot be opened there
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
