/** What `meshbus keys` says of itself. */
export const KEYS_USAGE = `meshbus keys <command> [options]   certificates: who is a member of a mesh, and what it may do

  init     --mesh NAME [--out ./authority] [--days 3650]
           a new authority; keep its folder offline
  issue    --service NAME --out FOLDER [rights] [--days 30] [--node ID] [--authority ./authority]
           a key and a certificate for one node; --node for one that had an id before it had keys
  renew    --keys FOLDER [--authority FOLDER]
           the same again, from now on: by the authority (or issuer) at hand, else by the issuer it joined through
  inspect  PATH
           what a folder of keys, or a file of certificates, says
  revoke   --serial HEX | --node ID | --certificate FILE [--authority ./authority] [--to FOLDER ...]
           a certificate, or every certificate of a node's key; --to hands the list to nodes and issuers at hand
  rotate   --begin | --switch | --finish [--authority ./authority] [--to FOLDER ...]
           a new authority: made and trusted beside the old one; signs; the old one is dropped
  issuer   --out FOLDER [--days 90] [--authority ./authority]
           a folder that may sign nodes; for one that is there already: its certificate anew
  token    --service NAME [rights] [--days 1] [--minutes 60] [--issuer ./issuer]
           lets one node join within the minutes; its certificates live for the days
  serve    [--issuer ./issuer] [--listen 127.0.0.1:7480]
           signs for tokens, and renews
  join     --issuer HOST:PORT --token TOKEN --out FOLDER
           a key made here, and its certificate; --token - reads it from standard input

  rights: --publish --subscribe --send --handle --request PATTERN, and --deny-publish ... --deny-request PATTERN,
          each as often as needed; --admin none, read or full. What is not allowed is denied.
  --json  one JSON object instead of text
`;
