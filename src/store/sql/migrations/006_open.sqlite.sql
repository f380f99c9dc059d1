-- Lists of what has not ended, by type and status: with job_by_end each list is a range of an index.
DROP INDEX job_by_type;
CREATE INDEX job_open ON job (workspace_id, job_type, status, seq) WHERE completed_at IS NULL;
