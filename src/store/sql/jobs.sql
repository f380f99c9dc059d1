-- columns: job_columns
seq, job_id, workspace_id, job_type, status, rev, attempt, max_attempts, spent, cancel_requested, due_ms,
  lease_ms, lease_until_ms, worker_id, batch_seq, fanout_id, held, created_at, started_at, updated_at, completed_at,
  last_heartbeat_at, ended_seq

-- columns: attempt_columns
job_seq, attempt, worker_id, worker_labels, lease_token, request_id, claimed_at, ended_at, outcome, error,
  settled_by

-- name: insert_job
-- Stores the changing row of a new job.
INSERT INTO job (job_id, workspace_id, job_type, status, rev, attempt, max_attempts, spent, cancel_requested, due_ms,
  lease_ms, batch_seq, fanout_id, held, created_at, updated_at)
VALUES ($1, $2, $3, $4, 0, 0, $5, 0, 0, $6, $7, $8, $9, $10, $11, $11);

-- name: insert_body
-- Stores what a job was submitted with.
INSERT INTO job_body (seq, batch_id, root_workflow_id, parent_step_id, fanout_parent_step_id, fanout_max_concurrency,
  idempotency_key, metadata, payload)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: update_job
-- Replaces the changing row, if it still has the revision that the change was decided from.
UPDATE job SET status = $3, rev = rev + 1, attempt = $4, max_attempts = $5, spent = $6, cancel_requested = $7,
  due_ms = $8, lease_ms = $9, lease_until_ms = $10, worker_id = $11, held = $12, started_at = $13, updated_at = $14,
  completed_at = $15, last_heartbeat_at = $16, ended_seq = $17
WHERE seq = $1 AND rev = $2;

-- name: renew_lease
-- Replaces what a heartbeat changes, as update_job does, and no index but that of leases with it.
UPDATE job SET rev = rev + 1, lease_ms = $3, lease_until_ms = $4, updated_at = $5, last_heartbeat_at = $6
WHERE seq = $1 AND rev = $2;

-- name: update_job_held
-- Puts a job under its cap or lets it wait for a place.
UPDATE job SET held = $2 WHERE seq = $1;

-- name: get_job_by_id
-- Reads the changing row of a job.
SELECT {job_columns} FROM job WHERE job_id = $1;

-- name: get_job_by_seq
-- Reads the changing row of a job.
SELECT {job_columns} FROM job WHERE seq = $1;

-- name: get_body
-- Reads what a job was submitted with.
SELECT batch_id, root_workflow_id, parent_step_id, fanout_parent_step_id, fanout_max_concurrency, idempotency_key,
  metadata, payload
FROM job_body WHERE seq = $1;

-- name: get_body_without_payload
-- Reads what a job was submitted with, but for what may be large.
SELECT batch_id, root_workflow_id, parent_step_id, fanout_parent_step_id, fanout_max_concurrency, idempotency_key,
  NULL, NULL
FROM job_body WHERE seq = $1;

-- name: find_claimable
-- The jobs of a type that are due first.
SELECT seq FROM job
WHERE workspace_id = $1 AND job_type = $2 AND status = 'queued' AND held = 0 AND due_ms <= $3
ORDER BY due_ms, seq LIMIT $4;

-- name: find_claimable_in_batch
-- The jobs of a batch that are due first.
SELECT seq FROM job
WHERE batch_seq = $1 AND job_type = $2 AND status = 'queued' AND held = 0 AND due_ms <= $3
ORDER BY due_ms, seq LIMIT $4;

-- name: next_due
-- When the next job of a type is due that is not yet.
SELECT due_ms FROM job
WHERE workspace_id = $1 AND job_type = $2 AND status = 'queued' AND held = 0 AND due_ms > $3
ORDER BY due_ms LIMIT 1;

-- name: next_due_in_batch
-- When the next job of a batch is due that is not yet.
SELECT due_ms FROM job
WHERE batch_seq = $1 AND job_type = $2 AND status = 'queued' AND held = 0 AND due_ms > $3
ORDER BY due_ms LIMIT 1;

-- name: last_due
-- When the job was due that was submitted last, if that is still when it was submitted.
SELECT due_ms FROM (SELECT due_ms, spent FROM job ORDER BY seq DESC LIMIT 1) WHERE spent = 0;

-- name: list_expired
-- Jobs whose lease is over.
SELECT seq FROM job WHERE lease_until_ms <= $1 ORDER BY lease_until_ms LIMIT $2;

-- name: next_expiry
-- The end of the lease that ends first.
SELECT min(lease_until_ms) FROM job WHERE lease_until_ms IS NOT NULL;

-- name: renew_all_leases
-- Gives every lease its full length from now.
UPDATE job SET lease_until_ms = $1 + lease_ms WHERE lease_until_ms IS NOT NULL;

-- name: list_ended_since
-- Jobs and batches that ended after a number; in one statement, so that all are of one state.
SELECT job_id, ended_seq FROM job WHERE ended_seq > $1
UNION ALL SELECT batch_id, ended_seq FROM batch WHERE ended_seq > $1;

-- name: last_job_ended
-- The last ending of a job.
SELECT max(ended_seq) FROM job WHERE ended_seq IS NOT NULL;

-- name: get_progress
-- Reads what the present attempt reported.
SELECT status, message, details, metrics, updated_at FROM job_progress WHERE seq = $1;

-- name: put_progress
-- Replaces what the present attempt reported.
INSERT INTO job_progress (seq, status, message, details, metrics, updated_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (seq) DO UPDATE SET status = excluded.status, message = excluded.message, details = excluded.details, metrics = excluded.metrics,
  updated_at = excluded.updated_at;

-- name: delete_progress
-- Forgets what earlier attempts reported.
DELETE FROM job_progress WHERE seq = $1;

-- name: get_outcome
-- Reads how a job ended.
SELECT summary, outputs, metrics, worker_info, error FROM job_result WHERE seq = $1;

-- name: put_outcome
-- Stores how a job ended.
INSERT INTO job_result (seq, summary, outputs, metrics, worker_info, error) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (seq) DO UPDATE SET summary = excluded.summary, outputs = excluded.outputs, metrics = excluded.metrics,
  worker_info = excluded.worker_info, error = excluded.error;

-- name: delete_outcome
-- Forgets how a job ended that goes on.
DELETE FROM job_result WHERE seq = $1;

-- name: list_artifact_names
-- Reads what is replaced by what in the order of first mention; the artifacts themselves may be large.
SELECT kind, label FROM job_artifact WHERE job_seq = $1 ORDER BY position;

-- name: list_artifacts
-- Reads what was produced, in the order of first mention.
SELECT kind, label, artifact FROM job_artifact WHERE job_seq = $1 ORDER BY position;

-- name: put_artifact
-- Stores or replaces one thing that was produced.
INSERT INTO job_artifact (job_seq, position, kind, label, artifact) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (job_seq, position) DO UPDATE SET artifact = excluded.artifact;

-- name: delete_artifacts
-- Forgets what earlier attempts produced.
DELETE FROM job_artifact WHERE job_seq = $1;

-- name: insert_attempt
-- Begins an attempt.
INSERT INTO job_attempt (job_seq, attempt, worker_id, worker_labels, lease_token, request_id, claimed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: end_attempt
-- Ends an attempt. The claim that began it cannot be repeated any more: only running attempts are found by a request.
UPDATE job_attempt SET ended_at = $3, outcome = $4, error = $5, settled_by = $6, request_id = NULL
WHERE job_seq = $1 AND attempt = $2;

-- name: list_last_attempts
-- Reads the last attempts of a job, from the last one back.
SELECT {attempt_columns} FROM job_attempt WHERE job_seq = $1 ORDER BY attempt DESC LIMIT $2;

-- name: get_attempt_by_token
-- Reads the attempt of a job that a lease token was given for.
SELECT {attempt_columns} FROM job_attempt WHERE job_seq = $1 AND lease_token = $2;

-- name: get_attempt
-- Reads one attempt of a job.
SELECT {attempt_columns} FROM job_attempt WHERE job_seq = $1 AND attempt = $2;

-- name: list_attempts_by_request
-- Reads the running attempts that a claim began.
SELECT {attempt_columns} FROM job_attempt WHERE request_id = $1 AND ended_at IS NULL;

-- name: list_jobs
-- A page of all jobs, newest first: in the order of the rows, since any index would have the whole workspace sorted.
SELECT {job_columns} FROM job WHERE workspace_id || '' = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3;

-- name: list_open
-- A page of the jobs of a type and a status that is not terminal, newest first, of those that came after one.
SELECT seq FROM job
WHERE workspace_id = $1 AND job_type = $5 AND status = $4 AND completed_at IS NULL AND seq < $2 AND seq > $6
ORDER BY seq DESC LIMIT $3;

-- name: list_ended
-- A page of the jobs of a type and a terminal status, newest first, of those that came after one.
SELECT seq FROM job
WHERE workspace_id = $1 AND job_type = $5 AND status = $4 AND completed_at IS NOT NULL AND seq < $2 AND seq > $6
ORDER BY seq DESC LIMIT $3;

-- name: list_newest
-- Those of the newest 1000 jobs below one that are of a workspace, and of a status.
SELECT seq FROM (SELECT seq, workspace_id, status FROM job WHERE seq < $2 ORDER BY seq DESC LIMIT 1000)
WHERE workspace_id = $1 AND ($4 IS NULL OR status = $4) ORDER BY seq DESC LIMIT $3;

-- name: list_jobs_by_batch
-- A page of the jobs of a batch, newest first.
SELECT {job_columns} FROM job
WHERE workspace_id = $1 AND seq < $2 AND ($4 IS NULL OR status = $4) AND batch_seq = $5
  AND ($6 IS NULL OR job_type = $6)
ORDER BY seq DESC LIMIT $3;

-- name: list_batch_jobs
-- The jobs of a batch in the order of submission.
SELECT {job_columns} FROM job WHERE batch_seq = $1 AND seq > $2 ORDER BY seq LIMIT $3;
