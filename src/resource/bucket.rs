//! An S3-compatible bucket, or a part of one, by its URL; and its errors in words that help.
//! It does not know what is kept there.

use super::{Error, Result};
use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use object_store::prefix::PrefixStore;
use std::sync::Arc;

/// Characters of an error of others that are shown.
const SHOWN: usize = 200;

/// The bucket of an `s3://bucket/prefix` URL. Credentials, region and endpoint are in the `AWS_…` variables.
pub fn open(url: &str) -> Result<Arc<dyn ObjectStore>> {
    let built = AmazonS3Builder::from_env().with_url(url).build();
    let bucket = built.map_err(|error| Error::Unavailable(explained(url, &error)))?;
    let prefix = url.strip_prefix("s3://").and_then(|rest| rest.split_once('/')).map_or("", |(_, prefix)| prefix);
    Ok(match prefix.trim_matches('/') {
        "" => Arc::new(bucket),
        prefix => Arc::new(PrefixStore::new(bucket, prefix)),
    })
}

/// What is wrong with a bucket.
pub fn explained(url: &str, error: &object_store::Error) -> String {
    let text = error.to_string();
    let between = |from: &str, to: &str| Some(text.split_once(from)?.1.split_once(to)?.0.to_owned());
    let code = between("<Code>", "</Code>").unwrap_or_default();
    // Where nothing names credentials, the machine's own are asked for.
    if text.contains("169.254.169.254") || text.contains("metadata.google") {
        return format!(
            "bucket \"{url}\" cannot be used: there are no credentials; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY \
             hold them"
        );
    }
    let refused =
        matches!(error, object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. });
    match code.as_str() {
        "NoSuchBucket" => format!("bucket \"{url}\" does not exist"),
        _ if refused => format!("bucket \"{url}\" refuses the credentials in AWS_ACCESS_KEY_ID: {code}"),
        "" => format!("bucket \"{url}\" cannot be reached: {}", innermost(error)),
        code => format!("bucket \"{url}\" cannot be used: {code}"),
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string().lines().next().unwrap_or_default().chars().take(SHOWN).collect()
}
