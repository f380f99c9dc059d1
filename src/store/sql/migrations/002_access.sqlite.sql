CREATE TABLE service_account (
  seq               INTEGER PRIMARY KEY, -- order of creation
  account_id        TEXT NOT NULL,       -- what callers know it by
  workspace_id      TEXT NOT NULL,       -- the only workspace that its keys open
  name              TEXT NOT NULL,       -- for people
  status            TEXT NOT NULL,       -- active or disabled; a disabled account's keys open nothing
  capabilities      TEXT NOT NULL,       -- scopes, separated by spaces
  allowed_job_types TEXT,                -- job types, separated by spaces; absent where all are allowed
  metadata          TEXT,                -- EDN
  created_at        INTEGER NOT NULL,
  updated_at        INTEGER NOT NULL     -- when anything last changed
);
CREATE UNIQUE INDEX service_account_by_id ON service_account (account_id);
CREATE INDEX service_account_by_workspace ON service_account (workspace_id, seq);

CREATE TABLE access_key (
  seq         INTEGER PRIMARY KEY, -- order of creation
  key_id      TEXT NOT NULL,       -- what callers know it by; a part of the key itself
  account_seq INTEGER NOT NULL,    -- service_account.seq
  name        TEXT,                -- for people
  hash        BLOB NOT NULL,       -- SHA-256 of the whole key; the key itself is not kept
  metadata    TEXT,                -- EDN
  created_at  INTEGER NOT NULL,
  expires_at  INTEGER,             -- when it ceases to open anything; absent where it does not
  revoked_at  INTEGER              -- when it was revoked
);
CREATE UNIQUE INDEX access_key_by_id ON access_key (key_id);
CREATE INDEX access_key_by_account ON access_key (account_seq, seq);
CREATE INDEX access_key_valid ON access_key (account_seq) WHERE revoked_at IS NULL;

CREATE TABLE operation (
  workspace_id TEXT NOT NULL,
  caller       TEXT NOT NULL,    -- the key that it was asked with; empty where there was none
  operation_id TEXT NOT NULL,    -- the caller's own
  digest       BLOB NOT NULL,    -- of the command and its arguments
  answer       TEXT NOT NULL,    -- the first answer, without secrets, as EDN
  until_ms     INTEGER NOT NULL, -- until when it is kept
  PRIMARY KEY (workspace_id, caller, operation_id)
) WITHOUT ROWID;
CREATE INDEX operation_until ON operation (until_ms);
