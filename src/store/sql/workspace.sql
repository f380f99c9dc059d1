-- name: get_submission
-- What a submission under an idempotency key made.
SELECT id, digest FROM idempotency WHERE workspace_id = $1 AND key = $2;

-- name: insert_submission
-- Remembers a submission under its idempotency key.
INSERT INTO idempotency (workspace_id, key, id, digest) VALUES ($1, $2, $3, $4);

-- name: list_counts
-- How many jobs there are by type and status, or by type of one status.
SELECT job_type, status, jobs FROM job_count
WHERE workspace_id = $1 AND jobs > 0 AND ($2 IS NULL OR status = $2) ORDER BY job_type, status;

-- name: list_counts_of_type
-- How many jobs of a type there are by status, or of one status.
SELECT job_type, status, jobs FROM job_count
WHERE workspace_id = $1 AND job_type = $2 AND jobs > 0 AND ($3 IS NULL OR status = $3) ORDER BY status;

-- name: find_other_workspace
-- Whether there are jobs of other workspaces.
SELECT 1 FROM job_count WHERE workspace_id < $1
UNION ALL SELECT 1 FROM job_count WHERE workspace_id > $1 LIMIT 1;

-- name: add_count
-- Adds to a maintained count.
INSERT INTO job_count (workspace_id, job_type, status, jobs) VALUES ($1, $2, $3, $4)
ON CONFLICT (workspace_id, job_type, status) DO UPDATE SET jobs = jobs + excluded.jobs;

-- name: get_fanout
-- Reads a cap.
SELECT fanout_id, cap, used, name FROM fanout WHERE fanout_id = $1;

-- name: get_fanout_by_name
-- Reads a cap.
SELECT fanout_id, cap, used, name FROM fanout WHERE workspace_id = $1 AND name = $2;

-- name: list_fanouts_without_places
-- Of the types that share a cap, those whose queued jobs may have no place.
SELECT fanout_id, cap, used, name FROM fanout WHERE workspace_id = $1 AND name >= $2 AND name < $3 AND cap = 0;

-- name: list_fanouts_with_places
-- Of the types that share a cap, those of whose queued jobs some have a place.
SELECT fanout_id, cap, used, name FROM fanout WHERE workspace_id = $1 AND name >= $2 AND name < $3 AND used > 0 LIMIT $4;

-- name: insert_fanout
-- Stores a cap with nothing under it.
INSERT INTO fanout (workspace_id, name, cap, used) VALUES ($1, $2, $3, 0) RETURNING fanout_id;

-- name: update_fanout
-- Changes a cap or how much of it is used.
UPDATE fanout SET cap = $2, used = $3 WHERE fanout_id = $1;

-- name: find_held
-- The job that waits for a place under a cap and is due first.
SELECT seq FROM job WHERE fanout_id = $1 AND status = 'queued' AND held = 1 ORDER BY due_ms, seq LIMIT 1;

-- name: find_last_placed
-- The queued job that has a place under a cap and is due last.
SELECT seq FROM job WHERE fanout_id = $1 AND status = 'queued' AND held = 0 ORDER BY due_ms DESC, seq DESC LIMIT 1;

-- name: get_clock
-- Reads the store's clock.
SELECT boot_id, offset_ms FROM store_clock WHERE id = 1;

-- name: set_clock
-- Sets the store's clock.
INSERT INTO store_clock (id, boot_id, offset_ms) VALUES (1, $1, $2)
ON CONFLICT (id) DO UPDATE SET boot_id = excluded.boot_id, offset_ms = excluded.offset_ms;

-- name: get_time
-- A store time that was reached.
SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'time_ms';

-- name: put_time
-- Remembers a store time that was reached.
INSERT INTO meta (name, value) VALUES ('time_ms', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value;
