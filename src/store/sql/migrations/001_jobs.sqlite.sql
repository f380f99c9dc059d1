-- Instants that end _at are wall-clock milliseconds since the Unix epoch, for showing.
-- Those that end _ms are store time: milliseconds of a clock that the host's wall clock cannot step (see store_clock).

CREATE TABLE meta (
  name  TEXT PRIMARY KEY NOT NULL, -- what it is
  value TEXT NOT NULL              -- its value as text
) WITHOUT ROWID;

CREATE TABLE store_clock (
  id        INTEGER PRIMARY KEY CHECK (id = 1),
  boot_id   TEXT NOT NULL,    -- the boot of the host in which offset_ms holds
  offset_ms INTEGER NOT NULL  -- store time = time since boot + offset_ms
);

CREATE TABLE job (
  seq               INTEGER PRIMARY KEY, -- order of submission
  job_id            TEXT NOT NULL,       -- what callers know it by
  workspace_id      TEXT NOT NULL,       -- whose it is
  job_type          TEXT NOT NULL,       -- which workers may take it
  status            TEXT NOT NULL,       -- where it stands in the state machine
  rev               INTEGER NOT NULL,    -- grows with every change; a change names the revision it was decided from
  attempt           INTEGER NOT NULL,    -- how many attempts were begun
  max_attempts      INTEGER NOT NULL,    -- budget for spent
  spent             INTEGER NOT NULL,    -- lost leases and retryable failures
  cancel_requested  INTEGER NOT NULL,    -- 1 when its worker is to stop
  due_ms            INTEGER NOT NULL,    -- not to be claimed before
  lease_ms          INTEGER NOT NULL,    -- length of the present or last lease
  lease_until_ms    INTEGER,             -- end of the present lease
  worker_id         TEXT,                -- who has or had it last
  batch_seq         INTEGER,             -- the batch it is in
  fanout_id         INTEGER,             -- the cap that it shares
  held              INTEGER NOT NULL,    -- 1 while it waits for a place under that cap
  created_at        INTEGER NOT NULL,    -- when it was submitted
  started_at        INTEGER,             -- when it was first claimed
  updated_at        INTEGER NOT NULL,    -- when anything last changed
  completed_at      INTEGER,             -- when it became terminal
  last_heartbeat_at INTEGER,             -- when its worker last spoke
  ended_seq         INTEGER              -- order of endings, jobs and batches together; of the last one where it was retried
);
CREATE UNIQUE INDEX job_by_id ON job (job_id);
CREATE INDEX job_by_type ON job (workspace_id, job_type, seq);
CREATE INDEX job_claimable ON job (workspace_id, job_type, due_ms, seq) WHERE status = 'queued' AND held = 0;
CREATE INDEX job_claimable_in_batch ON job (batch_seq, due_ms, seq)
  WHERE status = 'queued' AND held = 0 AND batch_seq IS NOT NULL;
CREATE INDEX job_leased ON job (lease_until_ms) WHERE lease_until_ms IS NOT NULL;
CREATE INDEX job_by_batch ON job (batch_seq, seq) WHERE batch_seq IS NOT NULL;
CREATE INDEX job_by_fanout ON job (fanout_id, held, due_ms, seq) WHERE status = 'queued' AND fanout_id IS NOT NULL;
CREATE INDEX job_ended ON job (ended_seq) WHERE ended_seq IS NOT NULL;

CREATE TABLE job_body (
  seq                    INTEGER PRIMARY KEY, -- job.seq; written once
  batch_id               TEXT,                -- the batch as callers know it
  root_workflow_id       TEXT,                -- the workflow it belongs to
  parent_step_id         TEXT,                -- the step that submitted it
  fanout_parent_step_id  TEXT,                -- the step whose jobs share a cap
  fanout_max_concurrency INTEGER,             -- that cap
  idempotency_key        TEXT,                -- what made the submission repeatable
  metadata               TEXT,                -- EDN
  payload                TEXT NOT NULL        -- EDN
);

CREATE TABLE job_progress (
  seq        INTEGER PRIMARY KEY, -- job.seq; the present attempt's
  status     TEXT NOT NULL,       -- how far it was
  message    TEXT,                -- for people
  details    TEXT,                -- EDN
  metrics    TEXT,                -- EDN
  updated_at INTEGER NOT NULL     -- when it was last reported
);

CREATE TABLE job_result (
  seq         INTEGER PRIMARY KEY, -- job.seq; of a terminal job
  summary     TEXT,                -- for people
  outputs     TEXT,                -- EDN
  metrics     TEXT,                -- EDN
  worker_info TEXT,                -- EDN
  error       TEXT                 -- EDN: {:code :message :details}
);

CREATE TABLE job_artifact (
  job_seq  INTEGER NOT NULL, -- job.seq
  position INTEGER NOT NULL, -- order of first mention
  kind     TEXT NOT NULL,    -- with the label, what another mention of both replaces
  label    TEXT,
  artifact TEXT NOT NULL,    -- EDN
  PRIMARY KEY (job_seq, position)
) WITHOUT ROWID;

CREATE TABLE job_attempt (
  job_seq       INTEGER NOT NULL, -- job.seq
  attempt       INTEGER NOT NULL, -- 1, 2, …
  worker_id     TEXT NOT NULL,    -- who claimed it
  worker_labels TEXT,             -- EDN
  lease_token   TEXT NOT NULL,    -- the fence
  request_id    TEXT,             -- the claim's, so that it can be repeated
  claimed_at    INTEGER NOT NULL,
  ended_at      INTEGER,          -- absent while it runs
  outcome       TEXT,             -- how it ended
  error         TEXT,             -- EDN: {:code :message :details}
  settled_by    BLOB,             -- digest of the command that settled it, so that it can be repeated
  PRIMARY KEY (job_seq, attempt)
) WITHOUT ROWID;
CREATE INDEX job_attempt_by_request ON job_attempt (request_id) WHERE request_id IS NOT NULL;

CREATE TABLE batch (
  seq              INTEGER PRIMARY KEY, -- order of submission
  batch_id         TEXT NOT NULL,       -- what callers know it by
  workspace_id     TEXT NOT NULL,
  job_type         TEXT NOT NULL,
  status           TEXT NOT NULL,       -- follows from the counts
  begun            INTEGER NOT NULL,    -- 1 once any job was claimed or ended
  requested_count  INTEGER NOT NULL,    -- jobs in it
  queued           INTEGER NOT NULL,    -- one count per job status
  leased           INTEGER NOT NULL,
  started          INTEGER NOT NULL,
  running          INTEGER NOT NULL,
  succeeded        INTEGER NOT NULL,
  no_changes       INTEGER NOT NULL,
  failed           INTEGER NOT NULL,
  cancelled        INTEGER NOT NULL,
  timed_out        INTEGER NOT NULL,
  created_at       INTEGER NOT NULL,
  updated_at       INTEGER NOT NULL,
  completed_at     INTEGER,             -- when it became terminal
  ended_seq        INTEGER,             -- as job.ended_seq
  idempotency_key  TEXT,
  root_workflow_id TEXT,
  parent_step_id   TEXT,
  metadata         TEXT                 -- EDN
);
CREATE UNIQUE INDEX batch_by_id ON batch (batch_id);
CREATE INDEX batch_by_workspace ON batch (workspace_id, seq);
CREATE INDEX batch_ended ON batch (ended_seq) WHERE ended_seq IS NOT NULL;

CREATE TABLE fanout (
  fanout_id    INTEGER PRIMARY KEY,
  workspace_id TEXT NOT NULL,
  name         TEXT NOT NULL,    -- the batch, or the workflow and step, whose jobs share the cap
  cap          INTEGER NOT NULL, -- how many may be claimable or active at once
  used         INTEGER NOT NULL  -- how many are
);
CREATE UNIQUE INDEX fanout_by_name ON fanout (workspace_id, name);

CREATE TABLE idempotency (
  workspace_id TEXT NOT NULL,
  key          TEXT NOT NULL, -- the caller's
  id           TEXT NOT NULL, -- the job or batch that it made
  digest       BLOB NOT NULL, -- of the submission
  PRIMARY KEY (workspace_id, key)
) WITHOUT ROWID;

CREATE TABLE job_count (
  workspace_id TEXT NOT NULL,
  job_type     TEXT NOT NULL,
  status       TEXT NOT NULL,
  jobs         INTEGER NOT NULL, -- how many there are
  PRIMARY KEY (workspace_id, job_type, status)
) WITHOUT ROWID;
