/** Folders of keys for tests: one authority and who it issued. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Authority } from "../../src/security/authority.ts";
import { type IssueKeysOptions, issueKeys } from "../../src/security/issue-keys.ts";
import { type LoadedSecurity, loadSecurity } from "../../src/security/load-security.ts";
import { createAuthority } from "../../src/security/open-authority.ts";

export class KeysWorld {
  readonly root: string;
  readonly authority: Authority;
  #count = 0;

  /** @param parent a folder that somebody else removes; default: the system's, for those who dispose of this */
  constructor(mesh = "shop", parent: string = tmpdir()) {
    this.root = mkdtempSync(join(parent, "meshbus-keys-"));
    this.authority = createAuthority(join(this.root, "authority"), { mesh });
  }

  path(name: string): string {
    return join(this.root, name);
  }

  /** A new node's folder. */
  issue(options: Partial<IssueKeysOptions> = {}, authority: Authority = this.authority): string {
    const folder = this.path(`node-${++this.#count}`);
    issueKeys(authority, folder, { service: "orders", ...options });
    return folder;
  }

  node(options: Partial<IssueKeysOptions> = {}, authority?: Authority): LoadedSecurity {
    return loadSecurity(this.issue(options, authority));
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}
