-- Lists of batches by status, open ones too: written when a batch's status changes, not at each of its jobs' changes.
DROP INDEX batch_by_end;
CREATE INDEX batch_by_status ON batch (workspace_id, status, seq);
CREATE INDEX batch_by_type_and_status ON batch (workspace_id, job_type, status, seq);

-- Whether a cap has any job left; written when a job under a cap is submitted.
CREATE INDEX job_of_fanout ON job (fanout_id) WHERE fanout_id IS NOT NULL;

-- Caps of steps whose jobs are gone: first rows of types, then those of groups that have no types any more.
DELETE FROM fanout WHERE name LIKE 'steps %' AND used = 0
  AND NOT EXISTS (SELECT 1 FROM job WHERE job.fanout_id = fanout.fanout_id)
  AND NOT EXISTS (SELECT 1 FROM fanout t
    WHERE t.workspace_id = fanout.workspace_id AND t.name > fanout.name || ' ' AND t.name < fanout.name || '!');
DELETE FROM fanout WHERE name LIKE 'steps %' AND used = 0
  AND NOT EXISTS (SELECT 1 FROM job WHERE job.fanout_id = fanout.fanout_id)
  AND NOT EXISTS (SELECT 1 FROM fanout t
    WHERE t.workspace_id = fanout.workspace_id AND t.name > fanout.name || ' ' AND t.name < fanout.name || '!');
