/** A world whose nodes have keys of one authority. */
import { deliverTrust, revoke } from "../../src/security/change-trust.ts";
import { type IssueKeysOptions, renewKeys } from "../../src/security/issue-keys.ts";
import { loadSecurity } from "../../src/security/load-security.ts";
import { KeysWorld } from "../security/keys-world.ts";
import type { ChildNode } from "./child-node.ts";
import type { NodeSetup, World } from "./world.ts";

export type Rights = Partial<IssueKeysOptions>;

/** Everything but administration. */
export const ALL: Rights = {
  allow: { publish: [">"], subscribe: [">"], send: [">"], handle: [">"], request: [">"] },
};

export class SecuredWorld {
  readonly world: World;
  readonly keys: KeysWorld;
  readonly #folders = new Map<string, string>();

  constructor(world: World, keys: KeysWorld = new KeysWorld(world.mesh, world.folder)) {
    this.world = world;
    this.keys = keys;
  }

  /** The folder of keys of a service; issued when it is asked for first. */
  folderOf(name: string, rights: Rights = ALL): string {
    let folder = this.#folders.get(name);
    if (folder === undefined) {
      folder = this.keys.issue({ service: name, ...rights });
      this.#folders.set(name, folder);
    }
    return folder;
  }

  setup(name: string, rights?: Rights, setup: NodeSetup = {}): NodeSetup {
    const security = { keys: this.folderOf(name, rights) };
    return { ...setup, node: { ...setup.node, security } };
  }

  start(name: string, rights?: Rights, setup?: NodeSetup): Promise<ChildNode> {
    return this.world.start(name, this.setup(name, rights, setup));
  }

  /** Revokes a node, and says so in the folder of another one: from there it has to travel. */
  revoke(nodeId: string, tellName: string): void {
    revoke(this.keys.authority, { nodeId });
    deliverTrust(this.keys.authority, this.folderOf(tellName));
  }

  renew(name: string): void {
    renewKeys(this.keys.authority, this.folderOf(name));
  }

  nodeIdOf(name: string): string {
    return loadSecurity(this.folderOf(name)).self.nodeId;
  }
}
