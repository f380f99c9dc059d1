-- Lists of what has ended, by type and status: written once in a job's life, at its end.
CREATE INDEX job_by_end ON job (workspace_id, job_type, status, seq) WHERE completed_at IS NOT NULL;
CREATE INDEX batch_by_type ON batch (workspace_id, job_type, seq);
CREATE INDEX batch_by_end ON batch (workspace_id, status, seq) WHERE completed_at IS NOT NULL;
