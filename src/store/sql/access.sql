-- columns: account_columns
account.seq, account.account_id, account.workspace_id, account.name, account.status, account.capabilities,
  account.allowed_job_types, account.metadata, account.created_at, account.updated_at

-- columns: key_columns
access_key.seq, access_key.key_id, access_key.account_seq, account.account_id, access_key.name, access_key.hash,
  access_key.metadata, access_key.created_at, access_key.expires_at, access_key.revoked_at

-- name: insert_account
-- Stores a service account.
INSERT INTO service_account (account_id, workspace_id, name, status, capabilities, allowed_job_types, metadata,
  created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
RETURNING seq;

-- name: update_account
-- Replaces what can change of a service account.
UPDATE service_account SET name = $2, status = $3, capabilities = $4, allowed_job_types = $5, metadata = $6,
  updated_at = $7
WHERE seq = $1;

-- name: get_account
-- Reads a service account.
SELECT {account_columns} FROM service_account AS account WHERE account.account_id = $1;

-- name: list_accounts
-- A page of the service accounts of a workspace, newest first.
SELECT {account_columns} FROM service_account AS account
WHERE account.workspace_id = $1 AND account.seq < $2
ORDER BY account.seq DESC LIMIT $3;

-- name: insert_key
-- Stores a key.
INSERT INTO access_key (key_id, account_seq, name, hash, metadata, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING seq;

-- name: revoke_key
-- Revokes a key, once.
UPDATE access_key SET revoked_at = $2 WHERE seq = $1 AND revoked_at IS NULL;

-- name: get_key
-- Reads a key.
SELECT {key_columns} FROM access_key JOIN service_account AS account ON account.seq = access_key.account_seq
WHERE access_key.key_id = $1;

-- name: get_grant
-- Reads a key with its service account.
SELECT {key_columns}, {account_columns}
FROM access_key JOIN service_account AS account ON account.seq = access_key.account_seq
WHERE access_key.key_id = $1;

-- name: list_keys
-- A page of the keys of a service account, newest first.
SELECT {key_columns} FROM access_key JOIN service_account AS account ON account.seq = access_key.account_seq
WHERE access_key.account_seq = $1 AND access_key.seq < $2
ORDER BY access_key.seq DESC LIMIT $3;

-- name: find_usable_key
-- A key that opens something.
SELECT 1 FROM access_key CROSS JOIN service_account AS account ON account.seq = access_key.account_seq
WHERE access_key.revoked_at IS NULL AND (access_key.expires_at IS NULL OR access_key.expires_at > $1)
  AND account.status = 'active'
LIMIT 1;

-- name: get_operation
-- Reads what is remembered of an operation.
SELECT digest, answer FROM operation
WHERE workspace_id = $1 AND caller = $2 AND operation_id = $3 AND until_ms > $4;

-- name: put_operation
-- Remembers an operation.
INSERT INTO operation (workspace_id, caller, operation_id, digest, answer, until_ms) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (workspace_id, caller, operation_id) DO UPDATE SET digest = excluded.digest, answer = excluded.answer,
  until_ms = excluded.until_ms;

-- name: delete_operation
-- Forgets an operation.
DELETE FROM operation WHERE workspace_id = $1 AND caller = $2 AND operation_id = $3;

-- name: next_operation_until
-- Until when the operation is kept that is kept the shortest.
SELECT until_ms FROM operation ORDER BY until_ms LIMIT 1;

-- name: delete_old_operations
-- Forgets some of the operations that were kept long enough.
DELETE FROM operation WHERE (workspace_id, caller, operation_id) IN
  (SELECT workspace_id, caller, operation_id FROM operation WHERE until_ms <= $1 ORDER BY until_ms LIMIT $2);

-- name: list_all_counts
-- How many jobs there are by workspace, type and status.
SELECT workspace_id, job_type, status, jobs FROM job_count WHERE jobs > 0 ORDER BY workspace_id, job_type, status;
