/**
 * Rights as the bytes in a certificate.
 *
 * Invariants: whatever the bytes, reading gives rights that `rightsOf` would accept, or throws WireError;
 * a field that is not known is refused, because it could be one that takes something away.
 * Source: proto/meshbus/security/v1/rights.proto.
 */
import { MeshError } from "../errors.ts";
import { ByteReader } from "../wire/byte-reader.ts";
import { ByteWriter } from "../wire/byte-writer.ts";
import {
  boolField,
  bytesField,
  messageFields,
  textField,
  uint32Field,
  uint64Field,
} from "../wire/field-writer.ts";
import { WireError } from "../wire/wire-error.ts";
import {
  ADMIN_LEVELS,
  type Grants,
  type Rights,
  rightsOf,
  SUBJECT_ACTIONS,
  type SubjectAction,
} from "./rights.ts";

const RIGHTS_BYTES_MAX = 8_192;
const CURVE_KEY_BYTES = 32;

export type CertifiedRights = {
  readonly rights: Rights;
  readonly curveKey: Uint8Array;
  /** The node id is not derived from the key. */
  readonly idGiven: boolean;
  /** How long its certificates are to live; one may be cut to the end of its signer's. */
  readonly lifeMs: number;
};

type Grant = { readonly action: SubjectAction; readonly patterns: readonly string[] };

/** @throws MeshError INVALID_OPTIONS when they take too much room */
export const encodeRights = ({
  rights,
  curveKey,
  idGiven,
  lifeMs,
}: CertifiedRights): Uint8Array => {
  const writer = new ByteWriter();
  messageFields(writer, 0x0a, listOf(rights.allow), writeGrant);
  messageFields(writer, 0x12, listOf(rights.deny), writeGrant);
  uint32Field(writer, 0x18, ADMIN_LEVELS.indexOf(rights.admin));
  bytesField(writer, 0x22, curveKey);
  boolField(writer, 0x28, idGiven);
  uint64Field(writer, 0x30, Math.floor(lifeMs));
  const bytes = writer.take();
  if (bytes.length <= RIGHTS_BYTES_MAX) return bytes;
  const message = `rights take ${bytes.length} B in a certificate, at most ${RIGHTS_BYTES_MAX}`;
  throw new MeshError("INVALID_OPTIONS", message);
};

/** @throws WireError */
export const decodeRights = (bytes: Uint8Array): CertifiedRights => {
  if (bytes.length > RIGHTS_BYTES_MAX) {
    throw new WireError(`rights of ${bytes.length} B exceed ${RIGHTS_BYTES_MAX}`);
  }
  const reader = new ByteReader(bytes);
  const allow: Grant[] = [];
  const deny: Grant[] = [];
  let level = 0;
  let curveKey: Uint8Array = new Uint8Array(0);
  let idGiven = false;
  let lifeMs = 0;
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) allow.push(reader.message(readGrant));
    else if (tag === 0x12) deny.push(reader.message(readGrant));
    else if (tag === 0x18) level = reader.uint32();
    else if (tag === 0x22) curveKey = Uint8Array.from(reader.view());
    else if (tag === 0x28) idGiven = reader.bool();
    else if (tag === 0x30) lifeMs = reader.uint64();
    else throw new WireError(`rights have the unknown field ${tag >>> 3}`);
  }
  const admin = ADMIN_LEVELS[level];
  if (admin === undefined) throw new WireError(`admin level ${level} is unknown`);
  if (curveKey.length !== CURVE_KEY_BYTES) {
    throw new WireError(`curve key has ${curveKey.length} B, not ${CURVE_KEY_BYTES}`);
  }
  return { rights: checked(allow, deny, admin), curveKey, idGiven, lifeMs };
};

const checked = (
  allow: readonly Grant[],
  deny: readonly Grant[],
  admin: Rights["admin"],
): Rights => {
  try {
    return rightsOf({ allow: grantsOf(allow), deny: grantsOf(deny), admin });
  } catch (error) {
    if (MeshError.is(error)) throw new WireError(error.message);
    throw error;
  }
};

const listOf = (grants: Grants): readonly Grant[] =>
  SUBJECT_ACTIONS.map((action) => ({ action, patterns: grants[action] })).filter(
    ({ patterns }) => patterns.length > 0,
  );

const grantsOf = (list: readonly Grant[]): Partial<Grants> => {
  const grants: Partial<Record<SubjectAction, readonly string[]>> = {};
  for (const { action, patterns } of list) {
    if (grants[action] !== undefined) throw new WireError(`two grants for ${action}`);
    grants[action] = patterns;
  }
  return grants;
};

const writeGrant = (writer: ByteWriter, { action, patterns }: Grant): void => {
  uint32Field(writer, 0x08, SUBJECT_ACTIONS.indexOf(action) + 1);
  for (const pattern of patterns) textField(writer, 0x12, pattern);
};

const readGrant = (reader: ByteReader): Grant => {
  let number = 0;
  const patterns: string[] = [];
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x08) number = reader.uint32();
    else if (tag === 0x12) patterns.push(reader.string());
    else throw new WireError(`a grant has the unknown field ${tag >>> 3}`);
  }
  const action = SUBJECT_ACTIONS[number - 1];
  if (action === undefined) throw new WireError(`action ${number} is unknown`);
  return { action, patterns };
};
