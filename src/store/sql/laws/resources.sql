-- name: resource_kind
-- A resource is a file, a value or a table, and has what such a one has.
SELECT 'resource', r.seq, r.kind || CASE WHEN v.resource_seq IS NULL AND t.resource_seq IS NULL THEN ' with neither value nor table'
    WHEN t.resource_seq IS NULL THEN ' with a value' ELSE ' with a table' END,
  CASE r.kind WHEN 'kv' THEN 'a value' WHEN 'table' THEN 'a table' WHEN 'file' THEN 'neither value nor table' ELSE 'file, kv or table' END
FROM resource r LEFT JOIN resource_value v ON v.resource_seq = r.seq LEFT JOIN resource_table t ON t.resource_seq = r.seq
WHERE r.kind NOT IN ('file', 'kv', 'table') OR (r.kind = 'kv') <> (v.resource_seq IS NOT NULL)
  OR (r.kind = 'table') <> (t.resource_seq IS NOT NULL);

-- name: value_size
-- A value is as long as its resource says.
SELECT 'resource', r.seq, r.size_bytes || ' bytes', octet_length(v.value) || ' bytes'
FROM resource r JOIN resource_value v ON v.resource_seq = r.seq WHERE r.size_bytes <> octet_length(v.value);

-- name: table_rows
-- A table knows how many rows it has, and how long they are.
SELECT 'resource_table', r.seq, t.row_count || ' rows, ' || r.size_bytes || ' bytes', n.rows || ' rows, ' || n.bytes || ' bytes'
FROM resource r JOIN resource_table t ON t.resource_seq = r.seq
  JOIN (SELECT seq, (SELECT count(*) FROM resource_row WHERE resource_seq = seq) AS rows,
    (SELECT coalesce(sum(octet_length(row)), 0) FROM resource_row WHERE resource_seq = seq) AS bytes FROM resource) n ON n.seq = r.seq
WHERE t.row_count <> n.rows OR r.size_bytes <> n.bytes;

-- name: table_cells
-- An indexed field has one value for each row of its table.
SELECT 'resource_cell', c.resource_seq || ' ' || c.field, c.cells || ' values', t.row_count || ' values'
FROM (SELECT resource_seq, field, count(*) AS cells FROM resource_cell GROUP BY resource_seq, field) c
  JOIN resource_table t ON t.resource_seq = c.resource_seq WHERE c.cells <> t.row_count
UNION ALL
SELECT 'resource_cell', c.resource_seq || ' ' || c.field || ' ' || c.row_seq, 'row ' || c.row_seq || ' is not in the table', 'a row of the table'
FROM resource_cell c LEFT JOIN resource_row r ON r.row_seq = c.row_seq
WHERE r.resource_seq IS NOT c.resource_seq AND EXISTS (SELECT 1 FROM resource WHERE seq = c.resource_seq);

-- name: resource_rows
-- Rows that belong to a resource have one, or are noted to be removed.
WITH gone AS (SELECT resource_seq FROM resource_removed)
SELECT 'resource_value', resource_seq, 'resource ' || resource_seq || ' is gone', 'a resource' FROM resource_value
WHERE NOT EXISTS (SELECT 1 FROM resource WHERE seq = resource_seq) AND resource_seq NOT IN gone
UNION ALL SELECT 'resource_table', resource_seq, 'resource ' || resource_seq || ' is gone', 'a resource' FROM resource_table
WHERE NOT EXISTS (SELECT 1 FROM resource WHERE seq = resource_seq) AND resource_seq NOT IN gone
UNION ALL SELECT 'resource_row', row_seq, 'resource ' || resource_seq || ' is gone', 'a resource' FROM resource_row
WHERE NOT EXISTS (SELECT 1 FROM resource WHERE seq = resource_seq) AND resource_seq NOT IN gone
UNION ALL SELECT 'resource_cell', resource_seq || ' ' || field, 'resource ' || resource_seq || ' is gone', 'a resource'
FROM (SELECT DISTINCT resource_seq, field FROM resource_cell)
WHERE NOT EXISTS (SELECT 1 FROM resource WHERE seq = resource_seq) AND resource_seq NOT IN gone
UNION ALL SELECT 'upload', session_id, 'resource ' || resource_seq || ' is gone', 'a resource' FROM upload
WHERE NOT EXISTS (SELECT 1 FROM resource WHERE seq = resource_seq);

-- name: resource_ref
-- A job and a resource that belong together are there.
SELECT 'resource_ref', job_seq || ' ' || resource_seq, 'job ' || job_seq || ' is gone', 'a job' FROM resource_ref
WHERE NOT EXISTS (SELECT 1 FROM job WHERE seq = job_seq)
UNION ALL SELECT 'resource_ref', job_seq || ' ' || resource_seq, 'resource ' || resource_seq || ' is gone', 'a resource'
FROM resource_ref WHERE NOT EXISTS (SELECT 1 FROM resource WHERE seq = resource_seq);

-- name: file_hash
-- A file whose bytes came is known by the SHA-256 of them; what is none has no such.
SELECT 'resource', seq, kind || ' with hash ' || quote(hash), iif(kind = 'file', '64 hexadecimal digits', 'no hash') FROM resource
WHERE hash IS NOT NULL AND (kind <> 'file' OR length(hash) <> 64 OR hash GLOB '*[^0-9a-f]*');
