//! Turns the SQL of `src/store/sql` into constants, and stamps the version.
//!
//! A statement stands in `<topic>.sql` where both databases share its text, in `<topic>.sqlite.sql` where they do not,
//! under a line `-- name: verb_noun` and a line that says what it does. Parameters are written `$1`; SQLite gets `?1`.
//! A list of columns that several statements share stands once under `-- columns: name` and is named `{name}`.
//! `whole/` holds statements that read all of the store, `laws/` what must hold of it: a law gives a row for each row
//! that breaks it (table, row, found, expected), and its line says what holds.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    let dir = Path::new("src/store/sql");
    println!("cargo:rerun-if-changed={}", dir.display());
    let mut statements = BTreeMap::new();
    for path in files(dir, ".sql").into_iter().chain(files(&dir.join("whole"), ".sql")) {
        read_statements(&path, &mut statements);
    }
    let mut out = String::new();
    for (name, (doc, sql)) in &statements {
        let _ = writeln!(out, "/// {doc}\npub static {}: &str = r#\"{}\"#;", name.to_uppercase(), for_sqlite(sql));
    }
    let _ =
        writeln!(out, "/// Migrations in order; the position of one, counted from 1, is the version that it makes.");
    let _ = writeln!(out, "pub const MIGRATIONS: &[&str] = &[");
    for path in files(&dir.join("migrations"), ".sqlite.sql") {
        let _ = writeln!(out, "    r#\"{}\"#,", read(&path));
    }
    let _ = writeln!(out, "];");
    let _ = writeln!(out, "/// Name, sentence and statement of what must hold of a store between two commits.");
    let _ = writeln!(out, "pub const LAWS: &[(&str, &str, &str)] = &[");
    let mut laws = BTreeMap::new();
    files(&dir.join("laws"), ".sql").iter().for_each(|path| read_statements(path, &mut laws));
    for (name, (says, sql)) in &laws {
        let _ = writeln!(out, "    (\"{name}\", \"{}\", r#\"{sql}\"#),", says.trim_end_matches('.'));
    }
    let _ = writeln!(out, "];");
    let target = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&target).join("sql.rs"), out).expect("OUT_DIR can be written");
}

fn files(dir: &Path, ending: &str) -> Vec<String> {
    let mut paths: Vec<String> = fs::read_dir(dir)
        .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
        .map(|entry| entry.expect("a readable folder").path().display().to_string())
        .filter(|path| path.ends_with(ending))
        .collect();
    paths.sort();
    paths
}

fn read(path: &str) -> String {
    println!("cargo:rerun-if-changed={path}");
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn read_statements(path: &str, statements: &mut BTreeMap<String, (String, String)>) {
    let text = read(path);
    let (lists, text) = text.split_at(text.find("-- name: ").unwrap_or_else(|| panic!("{path}: no statements")));
    let mut text = text.to_string();
    for block in lists.split("-- columns: ").skip(1) {
        let (name, columns) = block.split_once('\n').unwrap_or_else(|| panic!("{path}: a list without columns"));
        text = text.replace(&format!("{{{name}}}"), columns.trim());
    }
    for block in text.split("-- name: ").skip(1) {
        let (name, rest) = block.split_once('\n').unwrap_or_else(|| panic!("{path}: a name without a statement"));
        let (doc, sql) = rest.split_once('\n').unwrap_or_else(|| panic!("{path}: {name} has no statement"));
        let doc =
            doc.strip_prefix("-- ").unwrap_or_else(|| panic!("{path}: {name} needs a line that says what it does"));
        let sql = sql.trim().trim_end_matches(';').to_string();
        assert!(!sql.is_empty() && !sql.contains('{'), "{path}: {name} is empty or names unknown columns");
        let before = statements.insert(name.trim().to_string(), (doc.to_string(), sql));
        assert!(before.is_none(), "{path}: {name} stands twice");
    }
}

/// `$1` is a name to SQLite; `?1` is a number.
fn for_sqlite(sql: &str) -> String {
    sql.replace('$', "?")
}
