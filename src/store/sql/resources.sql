-- columns: resource_columns
seq, workspace_id, kind, id, name, label, content_type, size_bytes, folder, filename, hash, expires_ms, job_seq,
  created_at, updated_at

-- columns: job_resource_columns
resource.seq, resource.workspace_id, resource.kind, resource.id, resource.name, resource.label, resource.content_type,
  resource.size_bytes, resource.folder, resource.filename, resource.hash, resource.expires_ms, resource.job_seq,
  resource.created_at, resource.updated_at

-- name: insert_resource
-- Stores a resource.
INSERT INTO resource (seq, workspace_id, kind, id, name, label, content_type, size_bytes, folder, filename, hash,
  expires_ms, job_seq, created_at, updated_at)
VALUES (1 + max(coalesce((SELECT max(seq) FROM resource), 0), coalesce((SELECT max(resource_seq) FROM resource_removed), 0)),
  $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)
RETURNING seq;

-- name: update_resource
-- Replaces what changes of a resource.
UPDATE resource SET label = $2, content_type = $3, size_bytes = $4, hash = $5, expires_ms = $6, job_seq = $7,
  updated_at = $8
WHERE seq = $1;

-- name: delete_resource
-- Forgets a resource; what belongs to it is removed afterwards.
DELETE FROM resource WHERE seq = $1;

-- name: get_resource
-- Reads a resource.
SELECT {resource_columns} FROM resource WHERE seq = $1;

-- name: get_resource_by_id
-- Reads a resource by the parts of its URI.
SELECT {resource_columns} FROM resource WHERE workspace_id = $1 AND kind = $2 AND id = $3;

-- name: get_resource_by_name
-- Reads a value by its key, a table by its name.
SELECT {resource_columns} FROM resource WHERE workspace_id = $1 AND kind = $2 AND name = $3;

-- name: get_file_by_name
-- Reads the latest file of that folder and name.
SELECT {resource_columns} FROM resource
WHERE workspace_id = $1 AND folder = $2 AND filename = $3 AND kind = 'file'
ORDER BY seq DESC LIMIT 1;

-- name: list_resources
-- A page of resources, newest first.
SELECT {resource_columns} FROM resource
WHERE workspace_id = $1 AND seq < $2 AND ($3 IS NULL OR kind = $3) AND (expires_ms IS NULL OR expires_ms > $4)
  AND (kind <> 'file' OR hash IS NOT NULL)
ORDER BY seq DESC LIMIT $5;

-- name: list_resources_of_job
-- A page of the resources of a job, newest first.
SELECT {job_resource_columns} FROM resource_ref CROSS JOIN resource ON resource.seq = resource_ref.resource_seq
WHERE resource_ref.job_seq = $6 AND resource_ref.resource_seq < $2
  AND workspace_id = $1 AND ($3 IS NULL OR kind = $3) AND (expires_ms IS NULL OR expires_ms > $4)
  AND (kind <> 'file' OR hash IS NOT NULL)
ORDER BY resource_ref.resource_seq DESC LIMIT $5;

-- name: list_expired_resources
-- Resources whose time is over.
SELECT seq FROM resource WHERE expires_ms <= $1 ORDER BY expires_ms LIMIT $2;

-- name: list_unused_resources
-- Resources that no job made or names, older than an instant.
SELECT seq FROM resource
WHERE workspace_id = $3 AND job_seq IS NULL AND created_at <= $1
  AND NOT EXISTS (SELECT 1 FROM resource_ref WHERE resource_ref.resource_seq = resource.seq)
ORDER BY created_at LIMIT $2;

-- name: list_unused_workspaces
-- Workspaces that have resources which no job made: from one to the next, not from resource to resource.
WITH RECURSIVE found (workspace_id) AS (
  SELECT min(workspace_id) FROM resource WHERE job_seq IS NULL
  UNION ALL
  SELECT (SELECT min(r.workspace_id) FROM resource r WHERE r.job_seq IS NULL AND r.workspace_id > found.workspace_id)
  FROM found WHERE found.workspace_id IS NOT NULL)
SELECT workspace_id FROM found WHERE workspace_id IS NOT NULL;

-- name: is_hash_used
-- Whether any resource has these bytes.
SELECT 1 FROM resource WHERE hash = $1 LIMIT 1;

-- name: put_resource_value
-- Stores or replaces a value.
INSERT INTO resource_value (resource_seq, value) VALUES ($1, $2)
ON CONFLICT (resource_seq) DO UPDATE SET value = excluded.value;

-- name: get_resource_value
-- Reads a value.
SELECT value FROM resource_value WHERE resource_seq = $1;

-- name: delete_resource_value
-- Removes a value.
DELETE FROM resource_value WHERE resource_seq = $1;

-- name: put_table
-- Stores or replaces what is known of a table.
INSERT INTO resource_table (resource_seq, key_fields, index_fields, fields, row_count) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (resource_seq) DO UPDATE SET index_fields = excluded.index_fields, fields = excluded.fields,
  row_count = excluded.row_count;

-- name: get_table
-- Reads what is known of a table.
SELECT key_fields, index_fields, fields, row_count FROM resource_table WHERE resource_seq = $1;

-- name: delete_table
-- Removes what is known of a table.
DELETE FROM resource_table WHERE resource_seq = $1;

-- name: insert_table_row
-- Stores a row.
INSERT INTO resource_row (resource_seq, row_key, row) VALUES ($1, $2, $3) RETURNING row_seq;

-- name: update_table_row
-- Replaces a row.
UPDATE resource_row SET row = $2 WHERE row_seq = $1;

-- name: get_table_row
-- Reads a row.
SELECT row_seq, row FROM resource_row WHERE row_seq = $1;

-- name: get_table_row_by_key
-- Reads the first row with these key fields.
SELECT row_seq, row FROM resource_row WHERE resource_seq = $1 AND row_key = $2 ORDER BY row_seq LIMIT 1;

-- name: list_table_rows
-- Rows in the order of their coming.
SELECT row_seq, row FROM resource_row WHERE resource_seq = $1 AND row_seq > $2 ORDER BY row_seq LIMIT $3;

-- name: list_table_rows_up
-- Rows in the order of an indexed field, with their values in it.
SELECT resource_row.row_seq, resource_row.row, resource_cell.value
FROM resource_cell JOIN resource_row ON resource_row.row_seq = resource_cell.row_seq
WHERE resource_cell.resource_seq = $1 AND resource_cell.field = $2
  AND (resource_cell.value, resource_cell.row_seq) > ($3, $4) AND resource_cell.value <= $5
ORDER BY resource_cell.value, resource_cell.row_seq LIMIT $6;

-- name: list_table_rows_down
-- Rows in the reverse order of an indexed field, with their values in it.
SELECT resource_row.row_seq, resource_row.row, resource_cell.value
FROM resource_cell JOIN resource_row ON resource_row.row_seq = resource_cell.row_seq
WHERE resource_cell.resource_seq = $1 AND resource_cell.field = $2
  AND (resource_cell.value, resource_cell.row_seq) < ($3, $4) AND resource_cell.value >= $5
ORDER BY resource_cell.value DESC, resource_cell.row_seq DESC LIMIT $6;

-- name: insert_cell
-- Stores the value of a row in an indexed field.
INSERT INTO resource_cell (resource_seq, field, value, row_seq) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING;

-- name: delete_cell
-- Removes the value of a row in an indexed field.
DELETE FROM resource_cell WHERE resource_seq = $1 AND field = $2 AND value = $3 AND row_seq = $4;

-- name: delete_cells
-- Removes some cells of a table.
DELETE FROM resource_cell WHERE (resource_seq, field, value, row_seq) IN
  (SELECT resource_seq, field, value, row_seq FROM resource_cell WHERE resource_seq = $1 LIMIT $2);

-- name: delete_table_rows
-- Removes some rows of a table.
DELETE FROM resource_row WHERE row_seq IN (SELECT row_seq FROM resource_row WHERE resource_seq = $1 LIMIT $2);

-- name: insert_ref
-- Notes that a job produced or names a resource.
INSERT INTO resource_ref (job_seq, resource_seq) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: delete_ref
-- Forgets that a job produced or names a resource.
DELETE FROM resource_ref WHERE job_seq = $1 AND resource_seq = $2;

-- name: list_refs
-- The resources of a job.
SELECT resource_seq FROM resource_ref WHERE job_seq = $1;

-- name: delete_refs_of_resource
-- Forgets whose a resource was.
DELETE FROM resource_ref WHERE resource_seq = $1;

-- name: find_job_of_resource
-- The first of the jobs that a resource belongs to.
SELECT job.job_id, job.job_type FROM resource_ref CROSS JOIN job ON job.seq = resource_ref.job_seq
WHERE resource_ref.resource_seq = $1 ORDER BY resource_ref.job_seq LIMIT 1;

-- name: is_resource_used
-- Whether any job produced or names a resource.
SELECT 1 FROM resource_ref WHERE resource_seq = $1 LIMIT 1;

-- name: insert_removed
-- Notes that what belongs to a resource is to be removed.
INSERT INTO resource_removed (resource_seq, hash) VALUES ($1, $2);

-- name: list_removed
-- Resources of which something is still to be removed, of those noted after one.
SELECT removed_seq, resource_seq, hash FROM resource_removed WHERE removed_seq > $1 ORDER BY removed_seq LIMIT $2;

-- name: delete_removed
-- Forgets a resource of which nothing is left.
DELETE FROM resource_removed WHERE removed_seq = $1;

-- name: insert_upload
-- Begins an upload.
INSERT INTO upload (session_id, resource_seq, content_type, token_hash, expires_ms, done) VALUES ($1, $2, $3, $4, $5, 0);

-- name: get_upload
-- Reads an upload.
SELECT session_id, resource_seq, content_type, token_hash, expires_ms, done FROM upload WHERE session_id = $1;

-- name: list_uploads
-- The uploads of a file, newest last.
SELECT session_id, resource_seq, content_type, token_hash, expires_ms, done FROM upload
WHERE resource_seq = $1 ORDER BY session_id;

-- name: finish_upload
-- Notes that the bytes are there.
UPDATE upload SET done = 1 WHERE session_id = $1;

-- name: delete_uploads
-- Forgets the uploads of a file.
DELETE FROM upload WHERE resource_seq = $1;

-- name: list_expired_uploads
-- Uploads that are over.
SELECT session_id, resource_seq, content_type, token_hash, expires_ms, done FROM upload
WHERE expires_ms <= $1 ORDER BY expires_ms LIMIT $2;

-- name: delete_upload
-- Forgets an upload.
DELETE FROM upload WHERE session_id = $1;

-- name: get_meta
-- Reads a fact about the store.
SELECT value FROM meta WHERE name = $1;

-- name: delete_meta
-- Forgets a fact about the store.
DELETE FROM meta WHERE name = $1;

-- name: put_meta
-- Stores or replaces a fact about the store.
INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value;
