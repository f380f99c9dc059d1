//! One Rust file as the style tests see it: its code apart from its comments, literals and unit tests.
//! It does not parse Rust: it knows what a comment, a literal and a pair of braces are.

use std::fs;
use std::path::Path;

pub struct Source {
    /// Below src/, with slashes.
    pub path: String,
    pub text: String,
    /// The text with comments, the contents of literals and unit tests blanked; lines stay where they were.
    code: String,
    literals: Vec<(usize, String)>,
}

impl Source {
    /// Every Rust file below `folder`, in order.
    pub fn all(folder: &Path) -> Vec<Source> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(&next).expect("the sources are readable") {
                let path = entry.expect("the sources are readable").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let text = fs::read_to_string(&path).expect("the sources are readable");
                    let below = path.strip_prefix(folder).expect("it was found in the folder");
                    found.push(Source::new(below.to_string_lossy().replace('\\', "/"), text));
                }
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }

    pub fn new(path: String, text: String) -> Source {
        let (code, mut literals) = blank(&text);
        // The house keeps unit tests that fill a file in `tests.rs`.
        let code = if path.ends_with("/tests.rs") { String::new() } else { without_tests(&code) };
        literals.retain(|(line, _)| code.lines().nth(line - 1).is_some_and(|code| !code.trim().is_empty()));
        Source { path, text, code, literals }
    }

    /// The module that the file belongs to: `job` for `job/decide.rs`.
    pub fn module(&self) -> &str {
        self.path.split(['/', '.']).next().unwrap_or_default()
    }

    /// The string literals outside of unit tests, each with its first line.
    pub fn literals(&self) -> Vec<(usize, &str)> {
        self.literals.iter().map(|(line, text)| (*line, text.as_str())).collect()
    }

    pub fn lines_with(&self, what: &str) -> Vec<usize> {
        self.numbered().filter(|(_, line)| line.contains(what)).map(|(number, _)| number).collect()
    }

    pub fn lines_with_word(&self, word: &str) -> Vec<usize> {
        let has = |line: &str| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word);
        self.numbered().filter(|(_, line)| has(line)).map(|(number, _)| number).collect()
    }

    /// The lines where a path begins with the crate `name`: `name::…`, `use name;`, `use {name::…}`.
    pub fn lines_with_path(&self, name: &str) -> Vec<usize> {
        let begins = |line: &str| {
            line.match_indices(name).any(|(at, _)| {
                let before = line[..at].trim_end_matches(' ');
                let after = &line[at + name.len()..];
                let inside = before.ends_with("::") && !before.ends_with(" ::");
                let apart = !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.') && !inside;
                apart && (after.starts_with("::") || (before.ends_with("use") && after.starts_with([';', ' '])))
            })
        };
        self.numbered().filter(|(_, line)| begins(line)).map(|(number, _)| number).collect()
    }

    /// The modules that the file names by `crate::…` paths, grouped imports included, each with its line.
    pub fn crate_paths(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (at, _) in self.code.match_indices("crate::") {
            if self.code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
                continue;
            }
            let rest = &self.code[at + "crate::".len()..];
            for (offset, name) in first_names(rest) {
                let line = 1 + self.code[..at + "crate::".len() + offset].matches('\n').count();
                found.push((line, name));
            }
        }
        found
    }

    fn numbered(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// The first name of the path at the start of `rest`, or of each path in its braces.
fn first_names(rest: &str) -> Vec<(usize, String)> {
    if !rest.starts_with('{') {
        return vec![(0, name_at(rest))];
    }
    let mut names = Vec::new();
    let mut depth = 0;
    let mut fresh = false;
    for (at, c) in rest.char_indices() {
        match c {
            '{' => (depth, fresh) = (depth + 1, depth == 0),
            '}' => depth -= 1,
            ',' => fresh = depth == 1,
            _ if fresh && !c.is_whitespace() => {
                names.push((at, name_at(&rest[at..])));
                fresh = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn name_at(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Blanks comments and the contents of literals, and returns the string literals apart.
fn blank(text: &str) -> (String, Vec<(usize, String)>) {
    let mut code = String::with_capacity(text.len());
    let mut literals = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let taken = comment(rest).or_else(|| literal(rest, &code));
        let Some(length) = taken else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        let (token, after) = rest.split_at(length);
        if token.ends_with(['"', '#']) && !token.starts_with('/') {
            let line = 1 + code.matches('\n').count();
            literals.push((line, token.trim_matches(['r', 'b', 'c', '#', '"']).to_owned()));
            code.push('"');
        }
        code.extend(token.chars().filter(|c| *c == '\n'));
        rest = after;
    }
    (code, literals)
}

/// The length of the comment at the start of `text`.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let mut depth = 0;
    for (at, _) in text.char_indices() {
        depth += match text.get(at..at + 2) {
            Some("/*") => 1,
            Some("*/") if depth == 1 => return Some(at + 2),
            Some("*/") => -1,
            _ => 0,
        };
    }
    Some(text.len())
}

/// The length of the string or character literal at the start of `text`, which follows `before`.
fn literal(text: &str, before: &str) -> Option<usize> {
    if before.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let body = text.trim_start_matches(['b', 'c']);
    let prefix = text.len() - body.len();
    if let Some(raw) = body.strip_prefix('r').filter(|_| prefix <= 1) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let open = prefix + 1 + hashes + 1;
            return Some(text[open..].find(&end).map_or(text.len(), |at| open + at + end.len()));
        }
        return None;
    }
    if prefix > 1 {
        return None;
    }
    if body.starts_with('"') {
        return Some(prefix + quoted(body, '"').unwrap_or(body.len()));
    }
    // A lifetime has no second quote right behind its first letter.
    let mut chars = body.strip_prefix('\'')?.chars();
    let first = chars.next()?;
    if first == '\\' || chars.next() == Some('\'') { quoted(body, '\'').map(|length| prefix + length) } else { None }
}

/// The length of the literal that `text` starts with, closed by `quote`.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return Some(at + c.len_utf8()),
            _ => {}
        }
    }
    None
}

/// Blanks every item under `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        kept.push_str(&rest[..at]);
        let item = &rest[at..];
        let end = item_end(item);
        kept.extend(item[..end].chars().filter(|c| *c == '\n'));
        rest = &item[end..];
    }
    kept.push_str(rest);
    kept
}

/// Where the item that `text` starts with ends: at its semicolon, or at the brace that closes its first one.
fn item_end(text: &str) -> usize {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            ';' if depth == 0 => return at + 1,
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new("job/mod.rs".to_owned(), text.to_owned())
    }

    #[test]
    fn imports_are_found_alone_in_groups_and_in_expressions() {
        let found = source("//! A.\nuse crate::{api::{self, b}, store,\n cli::x};\nfn f() { crate::jvm::g() }\n");
        let named: Vec<(usize, String)> = found.crate_paths();
        let expected = [(2, "api"), (2, "store"), (3, "cli"), (4, "jvm")];
        assert_eq!(named, expected.map(|(line, name)| (line, name.to_owned())));
    }

    #[test]
    fn comments_literals_and_unit_tests_are_not_code() {
        let found = source(
            "// a.unwrap()\n/* crate::store /* */ */ fn f<'a>() { g('\"', \"\\\".unwrap()\", br#\"\".unwrap()\"#) }\n\
             #[cfg(test)]\nmod tests {\n fn t() { a.unwrap(); crate::store::x(\"SELECT 1\") }\n}\nfn h() { i.unwrap() }\n",
        );
        assert_eq!(found.lines_with(".unwrap()"), [7]);
        assert_eq!(found.crate_paths(), []);
        assert_eq!(found.literals().len(), 2);
    }

    #[test]
    fn a_crate_is_told_from_words_that_hold_its_name() {
        let found = source("use notify;\nuse a::notify::B;\nself.notify();\nnotify_all::x();\nlet x = notify::y();\n");
        assert_eq!(found.lines_with_path("notify"), [1, 5]);
    }
}
