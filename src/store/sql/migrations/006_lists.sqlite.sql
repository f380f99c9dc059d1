-- Lists of what has not ended, by type and status: with job_by_end each list of jobs is a range of an index.
DROP INDEX job_by_type;
CREATE INDEX job_open ON job (workspace_id, job_type, status, seq) WHERE completed_at IS NULL;

-- Lists of a kind of which there are few among many others.
CREATE INDEX resource_by_kind ON resource (workspace_id, kind, seq);
