/**
 * Who a certificate is of, as the URI in it: meshbus://shop/orders/<node id> for a node,
 * meshbus://shop/$issuer/<id> for an issuer, meshbus://shop for the authority.
 *
 * Names consist of characters that a URI holds as they are, so each name has one spelling; "$" begins no
 * service's name.
 */
import { isNodeId } from "../core/ids.ts";

export type IdentityName =
  | { readonly role: "authority"; readonly mesh: string }
  | { readonly role: "issuer"; readonly mesh: string; readonly id: string }
  | {
      readonly role: "node";
      readonly mesh: string;
      readonly service: string;
      readonly nodeId: string;
    };

/** As the options of a node demand of `mesh` and `service`. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;
const SCHEME = "meshbus://";
const ISSUER = "$issuer";

/** Completes "must be ...". */
export const NAME_RULE = "1 to 63 of A-Z a-z 0-9 - _ . beginning with a letter or digit";

export const isIdentityName = (text: string): boolean => NAME.test(text);

export const formatIdentity = (name: IdentityName): string => {
  if (name.role === "authority") return `${SCHEME}${name.mesh}`;
  if (name.role === "issuer") return `${SCHEME}${name.mesh}/${ISSUER}/${name.id}`;
  return `${SCHEME}${name.mesh}/${name.service}/${name.nodeId}`;
};

/** Undefined for any other text, however long. */
export const parseIdentity = (uri: string): IdentityName | undefined => {
  if (!uri.startsWith(SCHEME)) return undefined;
  const [mesh = "", service, id, ...more] = uri.slice(SCHEME.length).split("/", 4);
  if (!NAME.test(mesh) || more.length > 0) return undefined;
  if (service === undefined) return { role: "authority", mesh };
  if (id === undefined || !isNodeId(id)) return undefined;
  if (service === ISSUER) return { role: "issuer", mesh, id };
  return NAME.test(service) ? { role: "node", mesh, service, nodeId: id } : undefined;
};
