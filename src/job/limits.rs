//! Every bound that Errand holds a caller to, by name. Sizes are UTF-8 bytes of EDN text, durations milliseconds.

pub const PAYLOAD_MAX: usize = 1 << 20;
pub const OUTPUTS_MAX: usize = 1 << 20;
pub const METADATA_MAX: usize = 64 << 10;
/// Progress details and metrics, failure details, worker facts, one artifact.
pub const DETAILS_MAX: usize = 256 << 10;
pub const MESSAGE_MAX: usize = 8 << 10;
pub const ARTIFACTS_MAX: usize = 1000;
pub const BATCH_JOBS_MAX: usize = 10_000;
pub const BATCH_BYTES_MAX: usize = 64 << 20;
pub const REPLY_BYTES_MAX: usize = 64 << 20;
/// Job types, worker ids.
pub const NAME_MAX: usize = 128;
/// Step ids, workflow ids, idempotency keys, request ids, codes and what else a caller names.
pub const KEY_MAX: usize = 512;
pub const LABELS_MAX: usize = 64;

pub const LEASE_MIN_MS: i64 = 1_000;
pub const LEASE_MAX_MS: i64 = 24 * 3_600_000;
pub const LEASE_DEFAULT_MS: i64 = 120_000;

pub const ATTEMPTS_MAX: i64 = 100;
pub const ATTEMPTS_DEFAULT: i64 = 3;

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

/// How long the first answer to an operation is kept.
pub const OPERATION_KEPT_MS: i64 = 24 * 3_600_000;
/// Scopes or job types in one list.
pub const WORDS_MAX: usize = 100;
