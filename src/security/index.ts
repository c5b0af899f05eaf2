/** meshbus/security: authorities, certificates and the keys of nodes. */
export type {
  Action,
  AdminLevel,
  AuditRecord,
  PeerIdentity,
  Security,
  SecurityChange,
  SecurityContext,
  SecurityRefusal,
} from "../ports/security.ts";
export type { Authority, IssueRequest } from "./authority.ts";
export {
  beginRotation,
  deliverTrust,
  finishRotation,
  type RevokeResult,
  type RevokeTarget,
  revoke,
  switchRotation,
} from "./change-trust.ts";
export { type IssuedKeys, type IssueKeysOptions, issueKeys, renewKeys } from "./issue-keys.ts";
export { type LoadedSecurity, loadSecurity } from "./load-security.ts";
export {
  type CreateAuthorityOptions,
  createAuthority,
  createIssuer,
  openAuthority,
  renewIssuer,
} from "./open-authority.ts";
export type { Grants, RightsOptions } from "./rights.ts";
