//! What kind of content a file has: by its extension, then by its first bytes.
//! It does not read files.

/// The first bytes of a file that its type is told from.
pub const HEAD_BYTES: usize = 1024;
pub const BYTES: &str = "application/octet-stream";
const MARKDOWN: &str = "text/markdown; charset=utf-8";

/// Beginnings that tell a type.
const BEGINNINGS: &[(&[u8], &str)] = &[
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"SQLite format 3\0", "application/vnd.sqlite3"),
];

/// The content type of a file of that name with these first bytes.
pub fn content_type(filename: &str, head: &[u8]) -> String {
    let extension = filename.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("md" | "markdown") => return MARKDOWN.into(),
        Some("edn") => return "application/edn".into(),
        Some("txt" | "log") => return "text/plain; charset=utf-8".into(),
        Some(_) | None => {}
    }
    if let Some(known) = mime_guess::from_path(filename).first_raw() {
        return known.into();
    }
    if let Some((_, known)) = BEGINNINGS.iter().find(|(beginning, _)| head.starts_with(beginning)) {
        return (*known).into();
    }
    if is_text(head) { "text/plain; charset=utf-8".into() } else { BYTES.into() }
}

/// Whether these are the first bytes of a text.
fn is_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The last character may be cut in the middle.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !valid.is_empty() && valid.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\x0c'))
}

/// Whether content of this type is text.
pub fn is_text_type(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    const TEXTS: [&str; 8] = [
        "application/json",
        "application/edn",
        "application/xml",
        "application/yaml",
        "application/toml",
        "application/javascript",
        "application/x-sh",
        "application/x-ndjson",
    ];
    essence.starts_with("text/")
        || TEXTS.contains(&essence.as_str())
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_tells_the_type_and_then_the_content() {
        for (name, head, expected) in [
            ("a.md", &b""[..], "text/markdown; charset=utf-8"),
            ("A.Markdown", b"", "text/markdown; charset=utf-8"),
            ("a.json", b"%PDF-", "application/json"),
            ("a.html", b"", "text/html"),
            ("a", b"%PDF-1.7", "application/pdf"),
            ("README", "Grüße".as_bytes(), "text/plain; charset=utf-8"),
            ("cut", &"é".as_bytes()[..1], "application/octet-stream"),
            ("cut", &"aé".as_bytes()[..2], "text/plain; charset=utf-8"),
            ("core", b"\x7fELF\0\0", "application/octet-stream"),
            ("empty", b"", "application/octet-stream"),
        ] {
            assert_eq!(content_type(name, head), expected, "{name}");
        }
    }
}
