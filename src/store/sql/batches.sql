-- columns: batch_columns
seq, batch_id, workspace_id, job_type, status, begun, requested_count, queued, leased, started, running,
  succeeded, no_changes, failed, cancelled, timed_out, created_at, updated_at, completed_at, ended_seq,
  idempotency_key, root_workflow_id, parent_step_id, metadata

-- name: insert_batch
-- Stores a new batch.
INSERT INTO batch (batch_id, workspace_id, job_type, status, begun, requested_count, queued, leased, started, running,
  succeeded, no_changes, failed, cancelled, timed_out, created_at, updated_at, idempotency_key, root_workflow_id,
  parent_step_id, metadata)
VALUES ($1, $2, $3, $4, 0, $5, $5, 0, 0, 0, 0, 0, 0, 0, 0, $6, $6, $7, $8, $9, $10)
RETURNING seq;

-- name: update_batch
-- Replaces what changes of a batch.
UPDATE batch SET status = $2, begun = $3, queued = $4, leased = $5, started = $6, running = $7, succeeded = $8,
  no_changes = $9, failed = $10, cancelled = $11, timed_out = $12, updated_at = $13, completed_at = $14, ended_seq = $15
WHERE seq = $1;

-- name: update_batch_counts
-- Replaces what changes of a batch that keeps its status, and no index with it.
UPDATE batch SET begun = $2, queued = $3, leased = $4, started = $5, running = $6, succeeded = $7, no_changes = $8,
  failed = $9, cancelled = $10, timed_out = $11, updated_at = $12
WHERE seq = $1;

-- name: get_batch_by_id
-- Reads a batch.
SELECT {batch_columns} FROM batch WHERE batch_id = $1;

-- name: get_batch_by_seq
-- Reads a batch.
SELECT {batch_columns} FROM batch WHERE seq = $1;

-- name: list_batches
-- A page of batches, newest first.
SELECT {batch_columns} FROM batch WHERE workspace_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3;

-- name: list_batches_by_status
-- A page of the batches of a status, newest first.
SELECT {batch_columns} FROM batch WHERE workspace_id = $1 AND status = $4 AND seq < $2 ORDER BY seq DESC LIMIT $3;

-- name: list_batches_by_type
-- A page of the batches of a type, newest first.
SELECT {batch_columns} FROM batch WHERE workspace_id = $1 AND job_type = $4 AND seq < $2 ORDER BY seq DESC LIMIT $3;

-- name: list_batches_by_type_and_status
-- A page of the batches of a type and status, newest first.
SELECT {batch_columns} FROM batch
WHERE workspace_id = $1 AND job_type = $5 AND status = $4 AND seq < $2 ORDER BY seq DESC LIMIT $3;

-- name: last_batch_ended
-- The last ending of a batch.
SELECT max(ended_seq) FROM batch WHERE ended_seq IS NOT NULL;
