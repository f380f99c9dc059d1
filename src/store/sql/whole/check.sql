-- name: recount_batches
-- Every batch with its own counts and a recount of its jobs, in the order of the statuses.
SELECT b.batch_id, b.status, b.begun, b.requested_count, b.completed_at IS NOT NULL, b.ended_seq IS NOT NULL,
  b.queued, b.leased, b.started, b.running, b.succeeded, b.no_changes, b.failed, b.cancelled, b.timed_out,
  coalesce(n.queued, 0), coalesce(n.leased, 0), coalesce(n.started, 0), coalesce(n.running, 0), coalesce(n.succeeded, 0),
  coalesce(n.no_changes, 0), coalesce(n.failed, 0), coalesce(n.cancelled, 0), coalesce(n.timed_out, 0),
  coalesce(n.claimed, 0)
FROM batch b LEFT JOIN (
  SELECT batch_seq, sum(status = 'queued') AS queued, sum(status = 'leased') AS leased, sum(status = 'started') AS started,
    sum(status = 'running') AS running, sum(status = 'succeeded') AS succeeded, sum(status = 'no_changes') AS no_changes,
    sum(status = 'failed') AS failed, sum(status = 'cancelled') AS cancelled, sum(status = 'timed_out') AS timed_out,
    max(attempt) > 0 AS claimed
  FROM job WHERE batch_seq IS NOT NULL GROUP BY batch_seq) n ON n.batch_seq = b.seq
ORDER BY b.seq;

-- name: every_edn
-- Every EDN text, with the table and row that it stands in.
SELECT 'job_body', seq, payload FROM job_body
UNION ALL SELECT 'job_body', seq, metadata FROM job_body WHERE metadata IS NOT NULL
UNION ALL SELECT 'job_progress', seq, details FROM job_progress WHERE details IS NOT NULL
UNION ALL SELECT 'job_progress', seq, metrics FROM job_progress WHERE metrics IS NOT NULL
UNION ALL SELECT 'job_result', seq, outputs FROM job_result WHERE outputs IS NOT NULL
UNION ALL SELECT 'job_result', seq, metrics FROM job_result WHERE metrics IS NOT NULL
UNION ALL SELECT 'job_result', seq, worker_info FROM job_result WHERE worker_info IS NOT NULL
UNION ALL SELECT 'job_result', seq, error FROM job_result WHERE error IS NOT NULL
UNION ALL SELECT 'job_artifact', job_seq || ' ' || position, artifact FROM job_artifact
UNION ALL SELECT 'job_attempt', job_seq || ' ' || attempt, worker_labels FROM job_attempt WHERE worker_labels IS NOT NULL
UNION ALL SELECT 'job_attempt', job_seq || ' ' || attempt, error FROM job_attempt WHERE error IS NOT NULL
UNION ALL SELECT 'batch', batch_id, metadata FROM batch WHERE metadata IS NOT NULL
UNION ALL SELECT 'resource_value', resource_seq, value FROM resource_value
UNION ALL SELECT 'resource_table', resource_seq, fields FROM resource_table
UNION ALL SELECT 'resource_row', row_seq, row FROM resource_row
UNION ALL SELECT 'operation', workspace_id || ' ' || operation_id, answer FROM operation;

-- name: count_all
-- How much there is.
SELECT (SELECT count(*) FROM job), (SELECT count(*) FROM batch), (SELECT count(*) FROM resource);

-- name: list_bytes
-- Files whose bytes came, beyond one of them, in the order of their hashes.
SELECT seq, hash, size_bytes FROM resource
WHERE hash IS NOT NULL AND (hash, seq) > ($1, $2) ORDER BY hash, seq LIMIT $3;

-- name: forget_boot
-- Makes the next opener begin the store's clock anew, as after a reboot: it goes on, and every lease is renewed once.
UPDATE store_clock SET boot_id = '';

-- name: copy_into
-- Writes the store as it is at this moment into an empty file.
VACUUM INTO $1;
