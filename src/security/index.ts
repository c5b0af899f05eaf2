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
export { type Joined, type JoinOptions, joinMesh, renewFromIssuer } from "./ask-issuer.ts";
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
export { type CertificateFacts, inspectCertificates, type KeysFacts } from "./inspect-keys.ts";
export { type IssuedKeys, type IssueKeysOptions, issueKeys, renewKeys } from "./issue-keys.ts";
export { createToken, type TokenOptions } from "./join-tokens.ts";
export { type LoadedSecurity, loadSecurity } from "./load-security.ts";
export {
  type CreateAuthorityOptions,
  createAuthority,
  createIssuer,
  openAuthority,
  renewIssuer,
} from "./open-authority.ts";
export type { Grants, RightsOptions } from "./rights.ts";
export { type IssuerService, type ServeIssuerOptions, serveIssuer } from "./serve-issuer.ts";
