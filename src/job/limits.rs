//! Every bound that Errand holds a caller to, by name. Sizes are UTF-8 bytes of EDN text, durations milliseconds.

pub const PAYLOAD_MAX: usize = 1 << 20;
pub const OUTPUTS_MAX: usize = 1 << 20;
pub const METADATA_MAX: usize = 64 << 10;
/// Progress details and metrics, failure details, worker facts, one artifact.
pub const DETAILS_MAX: usize = 256 << 10;
pub const MESSAGE_MAX: usize = 8 << 10;
pub const ARTIFACTS_MAX: usize = 1000;
pub const BATCH_JOBS_MAX: usize = 10_000;
/// Room for 10 000 jobs of more than 10 KiB.
pub const BATCH_BYTES_MAX: usize = 128 << 20;
pub const REPLY_BYTES_MAX: usize = 64 << 20;
/// Job types, worker ids.
pub const NAME_MAX: usize = 128;
/// Step ids, workflow ids, idempotency keys, request ids, codes, fields of tables and what else a caller names.
pub const KEY_MAX: usize = 512;
pub const LABELS_MAX: usize = 64;

pub const LEASE_MIN_MS: i64 = 1_000;
pub const LEASE_MAX_MS: i64 = 24 * 3_600_000;
pub const LEASE_DEFAULT_MS: i64 = 120_000;

pub const ATTEMPTS_MAX: i64 = 100;
pub const ATTEMPTS_DEFAULT: i64 = 3;
/// Ended attempts that a job is shown with, the last ones: releases cost nothing, and there may be any number of them.
pub const ATTEMPTS_SHOWN_MAX: i64 = 100;

pub const LIST_DEFAULT: i64 = 50;
pub const LIST_MAX: i64 = 1_000;
/// Jobs shown with a batch.
pub const BATCH_SHOWN_DEFAULT: i64 = 100;
pub const BATCH_SHOWN_MAX: i64 = 10_000;

/// The longest that anyone may ask to wait, sleep or be retried after.
pub const WAIT_MAX_MS: i64 = 366 * 86_400_000;
/// The longest poll of one HTTP request.
pub const POLL_MAX_MS: i64 = 30_000;
/// Bound of an await that names none.
pub const AWAIT_DEFAULT_MS: i64 = 300_000;
/// Delay between scheduled checks of an await that names none.
pub const INTERVAL_DEFAULT_MS: i64 = 1_000;
pub const CHECKS_MAX: i64 = 1_000_000;

/// First delay of a retryable failure, and the cap of its doubling.
pub const BACKOFF_FIRST_MS: i64 = 1_000;
pub const BACKOFF_MAX_MS: i64 = 300_000;

pub const FANOUT_MAX: i64 = 1_000_000;

/// A value under a key.
pub const KV_VALUE_MAX: usize = 1 << 20;
pub const TTL_MAX_S: i64 = 366 * 86_400;
/// Rows of one attachment, and their bytes together.
pub const TABLE_CALL_ROWS_MAX: usize = 10_000;
pub const TABLE_CALL_BYTES_MAX: usize = 16 << 20;
pub const TABLE_ROW_MAX: usize = 256 << 10;
pub const TABLE_ROWS_MAX: i64 = 1_000_000;
/// Names of fields that the rows of one table have together.
pub const TABLE_FIELDS_MAX: usize = 1_000;
/// Key and index fields of one table.
pub const TABLE_INDEXED_MAX: usize = 16;
/// A value in a key or index field, as it is encoded.
pub const INDEXED_VALUE_MAX: usize = 1 << 10;
/// Rows to which an index field can be added afterwards.
pub const TABLE_REINDEX_MAX: i64 = 10_000;

pub const QUERY_ROWS_DEFAULT: i64 = 100;
pub const QUERY_ROWS_MAX: i64 = 10_000;
pub const QUERY_FILTERS_MAX: usize = 32;
pub const QUERY_OFFSET_MAX: i64 = TABLE_ROWS_MAX;
/// Rows that are sorted without an index.
pub const QUERY_SORTED_MAX: usize = 200_000;
/// Their values in the fields that they are sorted by, together.
pub const QUERY_SORTED_BYTES_MAX: usize = 64 << 20;

pub const FILE_BYTES_MAX: u64 = 4 << 30;
pub const FILENAME_MAX: usize = 255;
/// Bytes of a file that one read gives.
pub const READ_BYTES_MAX: i64 = 1 << 20;
/// How long an upload may take from its beginning.
pub const UPLOAD_MS: i64 = 6 * 3_600_000;
/// How long a download link works.
pub const LINK_MS: i64 = 3_600_000;

/// How long what has ended is kept.
pub const RETENTION_DEFAULT_MS: i64 = 30 * 86_400_000;
pub const RETENTION_MAX_MS: i64 = 3_660 * 86_400_000;
pub const RETENTION_TYPES_MAX: usize = 1_000;
/// Jobs or types, rows or cells that one transaction prunes.
pub const PRUNE_JOBS: i64 = 100;
pub const PRUNE_ROWS: i64 = 2_000;
/// How long the first answer to an operation is kept.
pub const OPERATION_KEPT_MS: i64 = 24 * 3_600_000;
/// Scopes or job types in one list.
pub const WORDS_MAX: usize = 100;
