-- columns: active
('leased', 'started', 'running')

-- columns: terminal
('succeeded', 'no_changes', 'failed', 'cancelled', 'timed_out')

-- name: job_status
-- A job has a status that there is.
SELECT 'job', job_id, 'status ' || quote(status), 'a status' FROM job
WHERE status NOT IN ('queued', 'leased', 'started', 'running', 'succeeded', 'no_changes', 'failed', 'cancelled', 'timed_out');

-- name: job_lease
-- A job is under lease exactly while it is active.
SELECT 'job', job_id, status || iif(lease_until_ms IS NULL, ' without a lease', ' with a lease'),
  iif(status IN {active}, 'a lease with an end', 'no lease')
FROM job WHERE (lease_until_ms IS NOT NULL) <> (status IN {active});

-- name: job_running_attempt
-- An active job has one running attempt, its last; no other job has any.
SELECT 'job', j.job_id, j.status || iif(a.job_seq IS NULL, ' without its attempt ', ' and attempt ')
  || j.attempt || iif(a.job_seq IS NULL, '', iif(a.ended_at IS NULL, ' runs', ' has ended')),
  iif(j.status IN {active}, 'a running attempt', 'no running attempt')
FROM job j LEFT JOIN job_attempt a ON a.job_seq = j.seq AND a.attempt = j.attempt
WHERE (a.job_seq IS NOT NULL AND a.ended_at IS NULL) <> (j.status IN {active})
UNION ALL
SELECT 'job_attempt', a.job_seq || ' ' || a.attempt, 'runs', 'ended before attempt ' || j.attempt
FROM job_attempt a JOIN job j ON j.seq = a.job_seq WHERE a.ended_at IS NULL AND a.attempt <> j.attempt;

-- name: job_worker
-- An active job names the worker of its running attempt.
SELECT 'job', j.job_id, coalesce(quote(j.worker_id), 'none'), quote(a.worker_id)
FROM job j JOIN job_attempt a ON a.job_seq = j.seq AND a.attempt = j.attempt
WHERE j.status IN {active} AND j.worker_id IS NOT a.worker_id;

-- name: job_attempts
-- Attempts are numbered from 1 without a gap.
SELECT 'job', job_id,
  (SELECT count(*) || ' attempts, the last ' || coalesce(max(attempt), 'none') FROM job_attempt WHERE job_seq = job.seq),
  attempt || ' attempts'
FROM job WHERE attempt <> (SELECT count(*) FROM job_attempt WHERE job_seq = job.seq)
  OR attempt <> (SELECT coalesce(max(attempt), 0) FROM job_attempt WHERE job_seq = job.seq);

-- name: attempt_token
-- A lease token is given once, and is not empty.
SELECT 'job_attempt', min(job_seq || ' ' || attempt), 'a token that ' || count(*) || ' attempts have', 'a token of its own'
FROM job_attempt GROUP BY lease_token HAVING count(*) > 1 OR lease_token = '';

-- name: attempt_end
-- An attempt that ended says how.
SELECT 'job_attempt', job_seq || ' ' || attempt, coalesce(outcome, 'ended without an outcome'),
  iif(ended_at IS NULL, 'no outcome while it runs', 'an outcome')
FROM job_attempt WHERE (ended_at IS NULL) <> (outcome IS NULL);

-- name: job_end
-- A job has completed exactly when it is terminal, with a number in the order of endings.
SELECT 'job', job_id, status || iif(completed_at IS NULL, ' and not completed', ' and completed')
  || iif(ended_seq IS NULL, ' without a number', ''),
  iif(status IN {terminal}, 'completed, with a number in the order of endings', 'not completed')
FROM job WHERE (status IN {terminal}) <> (completed_at IS NOT NULL) OR (completed_at IS NOT NULL AND ended_seq IS NULL);

-- name: ended_seq
-- A number in the order of endings is used once.
SELECT min(name), min(id), 'number ' || ended_seq || ' is used ' || count(*) || ' times', 'once'
FROM (SELECT 'job' AS name, job_id AS id, ended_seq FROM job WHERE ended_seq IS NOT NULL
  UNION ALL SELECT 'batch', batch_id, ended_seq FROM batch WHERE ended_seq IS NOT NULL)
GROUP BY ended_seq HAVING count(*) > 1;

-- name: job_budget
-- A queued job has budget left and no cancel request.
SELECT 'job', job_id, spent || ' of ' || max_attempts || ' spent' || iif(cancel_requested, ', cancel requested', ''),
  'budget left, no cancel request'
FROM job WHERE status = 'queued' AND (spent >= max_attempts OR cancel_requested);

-- name: job_held
-- Only a queued job under a cap waits for a place.
SELECT 'job', job_id, 'a ' || status || ' job waits for a place', 'a queued job under a cap'
FROM job WHERE held AND (status <> 'queued' OR fanout_id IS NULL);

-- name: fanout_used
-- A cap knows how much of it is used.
WITH counted AS MATERIALIZED (
  SELECT fanout_id, count(*) AS used FROM job
  WHERE fanout_id IS NOT NULL AND ((status = 'queued' AND NOT held) OR status IN {active}) GROUP BY fanout_id)
SELECT 'fanout', f.fanout_id, f.used, coalesce(c.used, 0) FROM fanout f LEFT JOIN counted c ON c.fanout_id = f.fanout_id
WHERE f.name NOT LIKE 'steps %' AND f.used <> coalesce(c.used, 0);

-- name: fanout_active
-- A cap that types share knows how many are active under it.
WITH counted AS MATERIALIZED (
  SELECT fanout_id, count(*) AS active FROM job WHERE fanout_id IS NOT NULL AND status IN {active} GROUP BY fanout_id),
summed AS MATERIALIZED (
  SELECT g.fanout_id, coalesce(sum(c.active), 0) AS active FROM fanout g
  LEFT JOIN fanout t ON t.workspace_id = g.workspace_id AND t.name > g.name || ' ' AND t.name < g.name || '!'
  LEFT JOIN counted c ON c.fanout_id = t.fanout_id
  WHERE g.name LIKE 'steps %"' GROUP BY g.fanout_id)
SELECT 'fanout', g.fanout_id, g.used, s.active FROM fanout g JOIN summed s ON s.fanout_id = g.fanout_id
WHERE g.used <> s.active;

-- name: fanout_share
-- Each of those types has a place where any is left, and knows how many it uses.
WITH counted AS MATERIALIZED (
  SELECT fanout_id, count(*) AS used FROM job
  WHERE fanout_id IS NOT NULL AND status = 'queued' AND NOT held GROUP BY fanout_id)
SELECT 'fanout', t.fanout_id, t.used || ' of ' || t.cap, coalesce(c.used, 0) || ' of no fewer'
  || iif(g.used < g.cap, ', at least 1', '')
FROM fanout g JOIN fanout t ON t.workspace_id = g.workspace_id AND t.name > g.name || ' ' AND t.name < g.name || '!'
LEFT JOIN counted c ON c.fanout_id = t.fanout_id
WHERE g.name LIKE 'steps %"' AND (t.used <> coalesce(c.used, 0) OR t.used > t.cap OR (t.cap = 0 AND g.used < g.cap));

-- name: fanout_room
-- No job waits for a place while there is room.
SELECT 'fanout', fanout_id, used || ' of ' || cap || ' used, and a job waits', 'no job that waits'
FROM fanout f WHERE used < cap
  AND EXISTS (SELECT 1 FROM job j WHERE j.fanout_id = f.fanout_id AND j.status = 'queued' AND j.held = 1);

-- name: job_fanout
-- A cap that a job is under is there.
SELECT 'job', job_id, 'cap ' || fanout_id || ' is gone', 'a cap, while the job is open'
FROM job WHERE fanout_id IS NOT NULL AND status NOT IN {terminal}
  AND NOT EXISTS (SELECT 1 FROM fanout f WHERE f.fanout_id = job.fanout_id);

-- name: job_body
-- A job has a body, in the batch that its row names.
SELECT 'job', j.job_id, CASE WHEN b.seq IS NULL THEN 'no body' WHEN j.batch_seq IS NOT NULL AND t.seq IS NULL
    THEN 'batch ' || j.batch_seq || ' is gone' ELSE 'batch ' || coalesce(b.batch_id, 'none') END,
  'a body in batch ' || coalesce(t.batch_id, 'none')
FROM job j LEFT JOIN job_body b ON b.seq = j.seq LEFT JOIN batch t ON t.seq = j.batch_seq
WHERE b.seq IS NULL OR b.batch_id IS NOT t.batch_id OR (j.batch_seq IS NOT NULL AND t.seq IS NULL);

-- name: job_rows
-- Rows that belong to a job have one.
SELECT 'job_body', seq, 'job ' || seq || ' is gone', 'a job' FROM job_body
WHERE NOT EXISTS (SELECT 1 FROM job WHERE job.seq = job_body.seq)
UNION ALL SELECT 'job_progress', seq, 'job ' || seq || ' is gone', 'a job' FROM job_progress
WHERE NOT EXISTS (SELECT 1 FROM job WHERE job.seq = job_progress.seq)
UNION ALL SELECT 'job_result', seq, 'job ' || seq || ' is gone', 'a job' FROM job_result
WHERE NOT EXISTS (SELECT 1 FROM job WHERE job.seq = job_result.seq)
UNION ALL SELECT 'job_artifact', job_seq || ' ' || position, 'job ' || job_seq || ' is gone', 'a job' FROM job_artifact
WHERE NOT EXISTS (SELECT 1 FROM job WHERE job.seq = job_artifact.job_seq)
UNION ALL SELECT 'job_attempt', job_seq || ' ' || attempt, 'job ' || job_seq || ' is gone', 'a job' FROM job_attempt
WHERE NOT EXISTS (SELECT 1 FROM job WHERE job.seq = job_attempt.job_seq);

-- name: job_count
-- The maintained counts are a recount.
WITH counted AS MATERIALIZED (
  SELECT workspace_id, job_type, status, count(*) AS jobs FROM job GROUP BY workspace_id, job_type, status)
SELECT 'job_count', coalesce(c.workspace_id, n.workspace_id) || ' ' || coalesce(c.job_type, n.job_type) || ' '
  || coalesce(c.status, n.status), coalesce(c.jobs, 'no row'), coalesce(n.jobs, 0)
FROM job_count c FULL JOIN counted n
  ON c.workspace_id = n.workspace_id AND c.job_type = n.job_type AND c.status = n.status
WHERE c.jobs IS NULL OR c.jobs <> coalesce(n.jobs, 0);

-- name: idempotency
-- What an idempotency key made is there, and knows the key.
SELECT 'idempotency', workspace_id || ' ' || key, id || ' is gone', 'a job or a batch' FROM idempotency i
WHERE NOT EXISTS (SELECT 1 FROM job j WHERE j.job_id = i.id) AND NOT EXISTS (SELECT 1 FROM batch b WHERE b.batch_id = i.id)
UNION ALL SELECT 'job', j.job_id, 'key ' || quote(b.idempotency_key) || ' leads elsewhere or is unknown', 'a key that leads to it'
FROM job_body b JOIN job j ON j.seq = b.seq WHERE b.idempotency_key IS NOT NULL AND j.batch_seq IS NULL
  AND NOT EXISTS (SELECT 1 FROM idempotency i
    WHERE i.workspace_id = j.workspace_id AND i.key = b.idempotency_key AND i.id = j.job_id);

-- name: access_key
-- A key belongs to a service account.
SELECT 'access_key', key_id, 'service account ' || account_seq || ' is gone', 'a service account' FROM access_key
WHERE NOT EXISTS (SELECT 1 FROM service_account a WHERE a.seq = access_key.account_seq);
