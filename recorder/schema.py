"""The store's tables, and how an older store is brought up to date."""

SCHEMA_VERSION = 3
APPLICATION_ID = 0x47505231
"""``GPR1``: tells our file from any other SQLite database."""

# Exact bytes are BLOBs, hashes lower-case hex.
# chain: `whole` is the newest held event up to which nothing is missing; `first` the oldest number that the
#   post says it still keeps.
# event: every version of a number, so a fork keeps both; `verified` 0 waits for its key; `again` 1 came twice.
# claim: what is only known to exist: copies from `alarm/`, and the `previous` of a later chain.
# lost: ranges that a post signed to be gone. refused: numbers whose bytes were refused twice, identical.
# unseen: ranges that were no longer kept by the post when the recorder first asked for them.
# seen: when a post last gave a sign of life. note: what a person wrote beside an event.
# picture: those that a verified event announced (`chain`, `seq`, `hash` are its), and those of which an event said
#   that they are lost or replaced before that one came (`chain` is NULL). `state` lacking: it never came; mismatch:
#   other bytes did, or its file changed; both are asked for. stored: its file is in the folder beside. lost,
#   replaced: the post has said that it will not come. `since_ms`: when it was announced or last asked for, `asked`
#   times; NULL: nobody asks. `order_id`: the order whose reply is awaited. `told`: why it is not here.
# receipt: every receipt that a broker has taken from us.
_FIRST_BUILD = f"""
CREATE TABLE chain (
  id INTEGER PRIMARY KEY, source TEXT NOT NULL, uuid TEXT NOT NULL,
  whole INTEGER NOT NULL DEFAULT 0, whole_hash TEXT NOT NULL DEFAULT '{"0" * 64}',
  UNIQUE (source, uuid)) STRICT;
CREATE TABLE event (
  chain INTEGER NOT NULL REFERENCES chain, seq INTEGER NOT NULL, hash TEXT NOT NULL,
  prev TEXT NOT NULL, keyid TEXT NOT NULL, announces TEXT,
  verified INTEGER NOT NULL, received_ms INTEGER NOT NULL, payload BLOB NOT NULL,
  PRIMARY KEY (chain, seq, hash)) STRICT;
CREATE INDEX event_held ON event (keyid) WHERE NOT verified;
CREATE TABLE claim (
  chain INTEGER NOT NULL REFERENCES chain, seq INTEGER NOT NULL, hash TEXT NOT NULL, how TEXT NOT NULL,
  keyid TEXT NOT NULL, verified INTEGER NOT NULL, received_ms INTEGER NOT NULL, payload BLOB,
  PRIMARY KEY (chain, seq, hash, how)) STRICT;
CREATE INDEX claim_held ON claim (keyid) WHERE NOT verified;
CREATE TABLE lost (
  chain INTEGER NOT NULL REFERENCES chain, first INTEGER NOT NULL, last INTEGER NOT NULL, why TEXT NOT NULL,
  PRIMARY KEY (chain, first, last)) STRICT;
CREATE TABLE key (
  source TEXT NOT NULL, kid TEXT NOT NULL, x TEXT NOT NULL, trust TEXT, since_ms INTEGER NOT NULL,
  PRIMARY KEY (source, kid)) STRICT;
CREATE TABLE report (
  source TEXT NOT NULL, name TEXT NOT NULL, received_ms INTEGER NOT NULL, payload BLOB NOT NULL,
  PRIMARY KEY (source, name)) STRICT;
CREATE TABLE finding (
  id INTEGER PRIMARY KEY, source TEXT NOT NULL, flaw TEXT NOT NULL, what TEXT NOT NULL, detail TEXT NOT NULL,
  topic TEXT, payload BLOB, proven INTEGER NOT NULL, times INTEGER NOT NULL DEFAULT 1,
  first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, settled_ms INTEGER,
  UNIQUE (source, flaw, what)) STRICT;
"""

_RECEIPTS = """
ALTER TABLE chain ADD COLUMN first INTEGER NOT NULL DEFAULT 1;
ALTER TABLE event ADD COLUMN kind TEXT NOT NULL DEFAULT '';
ALTER TABLE event ADD COLUMN again INTEGER NOT NULL DEFAULT 0;
UPDATE event SET kind = substr(json_extract(CAST(payload AS TEXT), '$.type'), 11);
UPDATE event SET kind = substr(kind, 1, instr(kind, '.') - 1);
CREATE INDEX event_checkin ON event (chain, seq) WHERE kind = 'checkin';
CREATE TABLE refused (
  chain INTEGER NOT NULL REFERENCES chain, seq INTEGER NOT NULL, PRIMARY KEY (chain, seq)) STRICT;
CREATE TABLE unseen (
  chain INTEGER NOT NULL REFERENCES chain, first INTEGER NOT NULL, last INTEGER NOT NULL,
  PRIMARY KEY (chain, first)) STRICT;
CREATE TABLE seen (source TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) STRICT;
CREATE TABLE note (
  id INTEGER PRIMARY KEY, chain INTEGER NOT NULL REFERENCES chain, seq INTEGER NOT NULL,
  at_ms INTEGER NOT NULL, author TEXT NOT NULL, text TEXT NOT NULL) STRICT;
CREATE INDEX note_event ON note (chain, seq);
INSERT INTO seen SELECT source, max(received_ms) FROM (
  SELECT source, received_ms FROM event JOIN chain ON id = chain UNION ALL SELECT source, received_ms FROM report)
  GROUP BY source;
"""

_PICTURES = """
CREATE TABLE picture (
  source TEXT NOT NULL, sha256 TEXT NOT NULL, chain INTEGER REFERENCES chain, seq INTEGER, hash TEXT,
  bytes INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL, asked INTEGER NOT NULL DEFAULT 0, since_ms INTEGER,
  order_id TEXT, told TEXT, PRIMARY KEY (source, sha256)) STRICT;
CREATE INDEX picture_wanted ON picture (source, since_ms) WHERE since_ms NOT NULL;
CREATE INDEX picture_asked ON picture (order_id) WHERE order_id NOT NULL;
CREATE INDEX picture_event ON picture (chain, seq);
CREATE INDEX picture_stored ON picture (source, bytes) WHERE state = 'stored';
CREATE TABLE receipt (
  chain INTEGER NOT NULL REFERENCES chain, seq INTEGER NOT NULL, hash TEXT NOT NULL, at_ms INTEGER NOT NULL,
  PRIMARY KEY (chain, seq, hash)) STRICT;
INSERT OR IGNORE INTO picture (source, sha256, chain, seq, hash, bytes, state, since_ms)
  SELECT source, sha256, chain, seq, hash, bytes, 'lacking', received_ms FROM (
    SELECT source, chain, seq, hash, received_ms, json_extract(CAST(payload AS TEXT), '$.data.sha256') AS sha256,
      json_extract(CAST(payload AS TEXT), '$.data.bytes') AS bytes
    FROM event JOIN chain ON id = chain WHERE kind = 'picture' AND verified)
  WHERE typeof(sha256) = 'text' AND length(sha256) = 64 AND NOT sha256 GLOB '*[^0-9a-f]*'
    AND typeof(bytes) = 'integer' AND bytes > 0;
"""

_STEPS = (_FIRST_BUILD, _RECEIPTS, _PICTURES)


def upgrade(version: int) -> str:
    """The script that leads from a store of ``version`` (0: an empty file) to the present one."""
    return (
        f"BEGIN IMMEDIATE; {''.join(_STEPS[version:])} PRAGMA application_id={APPLICATION_ID};"
        f"PRAGMA user_version={SCHEMA_VERSION}; COMMIT;"
    )
