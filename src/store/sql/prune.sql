-- name: list_job_types
-- Every type that has jobs or batches, or had them lately, with its workspace.
SELECT DISTINCT workspace_id, job_type FROM job_count ORDER BY workspace_id, job_type;

-- name: list_empty_types
-- Types that have neither jobs nor batches any more, with their workspaces.
SELECT workspace_id, job_type FROM job_count c
GROUP BY workspace_id, job_type
HAVING max(jobs) = 0
  AND NOT EXISTS (SELECT 1 FROM batch b WHERE b.workspace_id = c.workspace_id AND b.job_type = c.job_type)
ORDER BY workspace_id, job_type;

-- name: delete_counts_of_empty_type
-- Forgets a type that has neither jobs nor batches.
DELETE FROM job_count WHERE workspace_id = $1 AND job_type = $2
  AND NOT EXISTS (SELECT 1 FROM job_count c WHERE c.workspace_id = $1 AND c.job_type = $2 AND c.jobs <> 0)
  AND NOT EXISTS (SELECT 1 FROM batch b WHERE b.workspace_id = $1 AND b.job_type = $2);

-- name: list_prunable_jobs
-- Jobs of a type outside of batches that ended before an instant, oldest first.
SELECT seq FROM job
WHERE workspace_id = $4 AND job_type = $1 AND completed_at <= $2 AND completed_at IS NOT NULL AND batch_seq IS NULL
ORDER BY completed_at LIMIT $3;

-- name: list_prunable_batches
-- Batches of a type that ended before an instant, oldest first.
SELECT seq FROM batch
WHERE workspace_id = $4 AND job_type = $1 AND completed_at <= $2 AND completed_at IS NOT NULL
ORDER BY completed_at LIMIT $3;

-- name: delete_job
-- Removes the changing row of a job.
DELETE FROM job WHERE seq = $1;

-- name: delete_body
-- Removes what a job was submitted with.
DELETE FROM job_body WHERE seq = $1;

-- name: delete_attempts
-- Removes the history of a job.
DELETE FROM job_attempt WHERE job_seq = $1;

-- name: delete_batch
-- Removes a batch.
DELETE FROM batch WHERE seq = $1;

-- name: delete_submission
-- Forgets a submission under its idempotency key.
DELETE FROM idempotency WHERE workspace_id = $1 AND key = $2 AND id = $3;

-- name: delete_fanout_by_name
-- Removes a cap that nothing is under.
DELETE FROM fanout WHERE workspace_id = $1 AND name = $2 AND used = 0;

-- name: find_job_under
-- A job that is under a cap, ended or not.
SELECT seq FROM job WHERE fanout_id = $1 LIMIT 1;

-- name: find_fanout_under
-- A type that shares a cap.
SELECT fanout_id FROM fanout WHERE workspace_id = $1 AND name >= $2 AND name < $3 LIMIT 1;

-- name: delete_fanout
-- Removes a cap that nothing is under.
DELETE FROM fanout WHERE fanout_id = $1 AND used = 0;
