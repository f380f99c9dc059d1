-- What jobs produce: files, values under keys, rows of tables. And what pruning needs to find what is old.

CREATE TABLE resource (
  seq          INTEGER PRIMARY KEY, -- order of making; not used again while anything of a removed one is left
  workspace_id TEXT NOT NULL,    -- whose it is
  kind         TEXT NOT NULL,    -- file, kv, table
  id           TEXT NOT NULL,    -- what its URI ends with; random
  name         TEXT,             -- of a value its key, of a table its name: unique among their kind
  label        TEXT,             -- for people
  content_type TEXT NOT NULL,    -- of the bytes, the value or the rows
  size_bytes   INTEGER NOT NULL, -- of the bytes, or of the value's EDN text
  folder       TEXT,             -- of a file: what its uploader calls the place; only a name
  filename     TEXT,             -- of a file: what its uploader calls it; only a name
  hash         TEXT,             -- of a file: SHA-256 of its bytes in hexadecimal; absent until they are there
  expires_ms   INTEGER,          -- store time from which it is not found any more
  job_seq      INTEGER,          -- the job that made it, where one did
  created_at   INTEGER NOT NULL,
  updated_at   INTEGER NOT NULL
);
CREATE UNIQUE INDEX resource_by_id ON resource (workspace_id, kind, id);
CREATE INDEX resource_by_workspace ON resource (workspace_id, seq);
CREATE UNIQUE INDEX resource_by_name ON resource (workspace_id, kind, name) WHERE name IS NOT NULL;
CREATE INDEX resource_by_filename ON resource (workspace_id, folder, filename) WHERE filename IS NOT NULL;
CREATE INDEX resource_by_hash ON resource (hash) WHERE hash IS NOT NULL;
CREATE INDEX resource_by_expiry ON resource (expires_ms) WHERE expires_ms IS NOT NULL;

CREATE TABLE resource_value (
  resource_seq INTEGER PRIMARY KEY, -- resource.seq of a value
  value        TEXT NOT NULL        -- EDN
);

CREATE TABLE resource_table (
  resource_seq INTEGER PRIMARY KEY, -- resource.seq of a table
  key_fields   TEXT NOT NULL,       -- EDN vector of names: what an upsert finds a row by
  index_fields TEXT NOT NULL,       -- EDN vector of names: of these every row has a cell
  fields       TEXT NOT NULL,       -- EDN vector of names: all that rows had so far, in the order of their coming
  row_count    INTEGER NOT NULL     -- maintained
);

CREATE TABLE resource_row (
  row_seq      INTEGER PRIMARY KEY, -- order of coming
  resource_seq INTEGER NOT NULL,    -- the table
  row_key      BLOB,                -- of the key fields' values, where the table has key fields
  row          TEXT NOT NULL        -- EDN map
);
CREATE INDEX resource_row_by_table ON resource_row (resource_seq);
CREATE INDEX resource_row_by_key ON resource_row (resource_seq, row_key) WHERE row_key IS NOT NULL;

CREATE TABLE resource_cell (
  resource_seq INTEGER NOT NULL, -- the table
  field        TEXT NOT NULL,    -- an index or key field
  value        BLOB NOT NULL,    -- the row's value in it, in an encoding whose byte order is the order of values
  row_seq      INTEGER NOT NULL, -- the row
  PRIMARY KEY (resource_seq, field, value, row_seq)
) WITHOUT ROWID;

CREATE TABLE resource_ref (
  job_seq      INTEGER NOT NULL, -- a job that produced or names the resource, in whatever attempt
  resource_seq INTEGER NOT NULL,
  PRIMARY KEY (job_seq, resource_seq)
) WITHOUT ROWID;
CREATE INDEX resource_ref_by_resource ON resource_ref (resource_seq);

CREATE TABLE resource_removed (
  removed_seq  INTEGER PRIMARY KEY, -- order of removal
  resource_seq INTEGER NOT NULL,    -- a resource that is gone, or 0: its value, rows and cells are still to go
  hash         TEXT                 -- of bytes that are to be removed where no resource has them any more
);

CREATE INDEX resource_removed_by_resource ON resource_removed (resource_seq);

CREATE TABLE upload (
  session_id   TEXT PRIMARY KEY NOT NULL, -- what its beginning gave
  resource_seq INTEGER NOT NULL,          -- whose bytes are to come
  content_type TEXT NOT NULL,             -- what they are said to be
  token_hash   TEXT NOT NULL,             -- SHA-256 of the secret in the one-time URL
  expires_ms   INTEGER NOT NULL,          -- store time from which it is over
  done         INTEGER NOT NULL           -- 1 once the bytes are there
) WITHOUT ROWID;
CREATE INDEX upload_by_resource ON upload (resource_seq);
CREATE INDEX upload_by_expiry ON upload (expires_ms);

CREATE INDEX job_prunable ON job (workspace_id, job_type, completed_at) WHERE completed_at IS NOT NULL AND batch_seq IS NULL;
CREATE INDEX batch_prunable ON batch (workspace_id, job_type, completed_at) WHERE completed_at IS NOT NULL;
CREATE INDEX resource_unused ON resource (workspace_id, created_at) WHERE job_seq IS NULL;
