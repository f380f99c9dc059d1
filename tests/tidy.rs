//! Holds the parts of the house style that the compiler does not: which module may name which other and which outside
//! crate, where unsafe code and SQL may stand, and that every dependency is explained.
//! Exceptions are rows of the tables below. It does not judge wording.

mod source;

use source::Source;
use std::fs;
use std::path::Path;

/// Which modules each module may name.
const LAYERS: &[(&str, &[&str])] = &[
    ("value", &[]),
    ("job", &["value"]),
    ("store", &["job", "value"]),
    ("engine", &["job", "store", "value"]),
    ("resource", &["job", "store", "value"]),
    ("api", &["engine", "job", "resource", "store", "value"]),
    ("http", &["api", "value"]),
    ("worker", &["api", "http", "value"]),
    ("cli", &["api", "http", "value", "worker"]),
    ("jvm", &["api", "http", "value"]),
];

/// Where each outside crate of Cargo.toml may be named: prefixes of paths below src/.
const CRATES: &[(&str, &[&str])] = &[
    ("axum", &["http/"]),
    ("base64", &["api/resources.rs", "http/client/files.rs"]),
    ("bytes", &["http/"]),
    ("clap", &["cli/"]),
    ("clap_complete", &["cli/"]),
    ("comfy_table", &["cli/"]),
    ("getrandom", &["store/sqlite/mod.rs"]),
    ("hmac", &["resource/link.rs"]),
    ("http_body_util", &["http/"]),
    ("hyper", &["http/"]),
    ("hyper_util", &["http/"]),
    ("indicatif", &["cli/"]),
    ("jiff", &["value/", "cli/"]),
    ("jni", &["jvm/"]),
    ("mime_guess", &["resource/media.rs"]),
    ("nix", &["store/sqlite/wake.rs"]),
    ("notify", &["store/sqlite/wake.rs"]),
    ("num_bigint", &["value/"]),
    ("num_integer", &["value/"]),
    ("object_store", &["resource/blobs", "resource/bucket.rs"]),
    ("prometheus", &["http/metrics.rs"]),
    ("reqwest", &["http/client"]),
    // The help only asks for its version.
    ("rusqlite", &["store/sqlite", "cli/help.rs"]),
    ("rustix", &["engine/clock.rs", "http/serving.rs", "store/sqlite/", "worker/"]),
    ("serde", &["cli/", "http/", "value/", "worker/"]),
    ("serde_json", &["cli/", "http/", "value/json.rs", "worker/"]),
    ("sha2", &["resource/", "engine/submit.rs", "engine/access.rs"]),
    ("strsim", &["api/"]),
    ("subtle", &["engine/access.rs"]),
    ("thiserror", &[""]),
    ("tokio", &["resource/blobs", "http/", "worker/"]),
    ("tokio_rustls", &["http/"]),
    ("tower_http", &["http/"]),
    ("tracing", &["cli/serve.rs", "http/", "jvm/servers.rs"]),
    ("tracing_subscriber", &["cli/serve.rs", "jvm/servers.rs"]),
    ("uuid", &["resource/blobs", "engine/", "http/", "value/", "worker/"]),
];

/// Files that may hold unsafe code.
const UNSAFE: &[&str] = &["jvm/"];

/// What the rules of jobs must not know: they are told the time, and never read it.
const NOT_IN_JOB: &[&str] = &["std::time", "std::fs", "std::io", "std::net", "std::thread", "std::env", "std::process"];

#[test]
fn a_module_names_only_the_modules_below_it() {
    no_complaints(|source| {
        let module = source.module();
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == module) else {
            return match module {
                "lib" | "main" => Vec::new(),
                _ => vec![(1, format!("{module} has no row in LAYERS of tests/tidy.rs"))],
            };
        };
        (source.crate_paths().into_iter())
            .filter(|(_, named)| *named != module && !allowed.contains(&named.as_str()))
            .map(|(line, named)| (line, format!("{module} may not import {named}")))
            .collect()
    });
}

#[test]
fn an_outside_crate_is_named_only_where_it_belongs() {
    no_complaints(|source| {
        let mut complaints = Vec::new();
        for (name, allowed) in CRATES {
            if !allowed.iter().any(|prefix| source.path.starts_with(prefix)) {
                let told = || format!("only {} may name {name}", allowed.join(", "));
                complaints.extend(source.lines_with_path(name).into_iter().map(|line| (line, told())));
            }
        }
        complaints
    });
}

#[test]
fn every_dependency_is_used() {
    let sources = Source::all(&root().join("src"));
    let unused: Vec<String> = (dependencies("dependencies").into_iter())
        .filter(|name| sources.iter().all(|source| source.lines_with_path(&name.replace('-', "_")).is_empty()))
        .collect();
    assert!(unused.is_empty(), "Cargo.toml: no source names {}", unused.join(", "));
}

#[test]
fn every_dependency_has_a_place_and_a_row_in_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap_or_default();
    let rows: Vec<&str> = readme.lines().filter(|line| line.starts_with('|')).collect();
    let mut complaints = Vec::new();
    for name in dependencies("dependencies") {
        if !CRATES.iter().any(|(row, _)| *row == name.replace('-', "_")) {
            complaints.push(format!("Cargo.toml: {name} has no row in CRATES of tests/tidy.rs"));
        }
    }
    for name in dependencies("dependencies").into_iter().chain(dependencies("dev-dependencies")) {
        if !rows.iter().any(|row| row.contains(&format!("`{name}`"))) {
            complaints.push(format!("README.md: no table has a row for `{name}`"));
        }
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// The fuzzers are built with `--locked`, by a lock file of their own.
#[test]
fn the_lock_of_the_fuzzers_has_every_dependency() {
    let lock = fs::read_to_string(root().join("fuzz/Cargo.lock")).expect("it is there");
    let package = lock.split("[[package]]").find(|package| package.contains("name = \"errand-jobs\""));
    let package = package.expect("the fuzzers use this library");
    let listed = |name: &str| package.lines().any(|line| line.trim_start().starts_with(&format!("\"{name}")));
    let missing: Vec<String> = dependencies("dependencies").into_iter().filter(|name| !listed(name)).collect();
    assert!(
        missing.is_empty(),
        "fuzz/Cargo.lock does not list {}: run `cargo update --workspace` there",
        missing.join(", ")
    );
}

#[test]
fn unsafe_code_stands_only_in_the_boundary_to_java() {
    no_complaints(|source| {
        if UNSAFE.iter().any(|prefix| source.path.starts_with(prefix)) {
            return Vec::new();
        }
        let lines = source.lines_with_word("unsafe").into_iter();
        lines.map(|line| (line, format!("only {} may hold unsafe code", UNSAFE.join(", ")))).collect()
    });
}

#[test]
fn library_code_does_not_unwrap() {
    let forbidden = [".unwrap()", ".unwrap_err()", ".expect(", ".expect_err(", "todo!(", "unimplemented!(", "dbg!("];
    no_complaints(|source| {
        let mut complaints = Vec::new();
        for what in forbidden {
            let lines = source.lines_with(what).into_iter();
            complaints.extend(lines.map(|line| (line, format!("{what} stands in library code"))));
        }
        complaints
    });
}

#[test]
fn every_file_says_what_it_owns() {
    no_complaints(|source| {
        let header = source.text.lines().take_while(|line| line.starts_with("//!"));
        // A table is looked up, not read.
        let header = header.filter(|line| !line.starts_with("//! |")).count();
        match header {
            0 => vec![(1, "no //! header says what this file owns".to_owned())],
            1..=8 => Vec::new(),
            // The map of the whole crate stands in lib.rs.
            _ if source.path == "lib.rs" => Vec::new(),
            n => vec![(1, format!("the //! header has {n} lines, at most 8 are read"))],
        }
    });
}

#[test]
fn queries_stand_only_in_the_sql_files() {
    let query =
        ["select ", "insert into ", "insert or ", "update ", "delete from ", "create ", "alter table ", "drop "];
    no_complaints(|source| {
        let literals = source.literals().into_iter().filter(|(_, text)| {
            // In capitals it is SQL; in small letters it is more often a sentence.
            let is_query = query.iter().any(|verb| text.trim_start().starts_with(&verb.to_uppercase()));
            // What the database says about itself is asked where the file is opened.
            is_query && !text.contains("sqlite_schema")
        });
        literals.map(|(line, _)| (line, "SQL belongs into src/store/sql".to_owned())).collect()
    });
}

#[test]
fn the_rules_of_jobs_are_pure() {
    no_complaints(|source| {
        if source.module() != "job" {
            return Vec::new();
        }
        let mut complaints = Vec::new();
        for what in NOT_IN_JOB {
            complaints
                .extend(source.lines_with(what).into_iter().map(|line| (line, format!("job may not use {what}"))));
        }
        complaints
    });
}

/// Fails with every complaint about every file under src/, one a line, as `src/job/mod.rs:2: …`.
#[test]
fn every_mutant_fits_the_sources() {
    for entry in fs::read_dir(root().join("tests/mutants")).unwrap() {
        let path = entry.unwrap().path();
        let patch = fs::read_to_string(&path).unwrap();
        let (mut source, mut before) = (String::new(), Vec::new());
        // The lines that a hunk finds stand in the file one after the other.
        let fits = |source: &str, before: &mut Vec<&str>| {
            let lines: Vec<_> = source.lines().collect();
            let found = before.is_empty() || lines.windows(before.len()).any(|lines| lines == before.as_slice());
            assert!(found, "{} finds no {before:#?}", path.display());
            before.clear();
        };
        for line in patch.lines().skip(1).filter(|line| !line.starts_with('+') || line.starts_with("+++ ")) {
            match line.split_at(line.len().min(4)) {
                ("+++ ", name) => source = fs::read_to_string(root().join(name.trim_start_matches("b/"))).unwrap(),
                ("--- ", _) | ("@@ -", _) => fits(&source, &mut before),
                _ => before.push(line.get(1..).unwrap_or("")),
            }
        }
        fits(&source, &mut before);
    }
}

fn no_complaints(check: impl Fn(&Source) -> Vec<(usize, String)>) {
    let sources = Source::all(&root().join("src"));
    assert!(!sources.is_empty(), "no sources were found under {}", root().display());
    let complaints: Vec<String> = (sources.iter())
        .flat_map(|source| check(source).into_iter().map(|(line, told)| format!("src/{}:{line}: {told}", source.path)))
        .collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// The names in one table of Cargo.toml, those that are only for one platform included.
fn dependencies(table: &str) -> Vec<String> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml is readable");
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if let Some(header) = line.strip_prefix('[') {
            let header = header.trim_end_matches(']');
            inside = header == table || (header.starts_with("target.") && header.ends_with(&format!(".{table}")));
        } else if let (true, Some((name, _))) = (inside, line.split_once('=')) {
            names.push(name.trim().split('.').next().unwrap_or_default().to_owned());
        }
    }
    names
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
