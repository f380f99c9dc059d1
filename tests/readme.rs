//! The README's tables against the tables of the program.

use errand::api::{CODES, COMMANDS};

/// The lines of the table that follows a marker.
fn shown(marker: &str) -> String {
    let readme = std::fs::read_to_string("README.md").expect("the README");
    let (_, after) = readme.split_once(marker).unwrap_or_else(|| panic!("README.md has no {marker}"));
    after.trim_start().lines().take_while(|line| line.starts_with('|')).map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_readme_shows_every_command() {
    let rows = COMMANDS.iter().map(|command| format!("| `{}` | {} |\n", command.name, command.doc));
    let table = ["| command | what it does |\n|---|---|\n".to_string()].into_iter().chain(rows).collect::<String>();
    assert_eq!(shown("<!-- commands -->"), table, "README.md: copy this table below its marker:\n{table}");
}

#[test]
fn the_readme_shows_every_error() {
    let row = |row: &errand::api::CodeRow| {
        let http = row.http.map_or("–".to_string(), |status| status.to_string());
        format!("| `{}` | {http} | {} | {} | {} |\n", row.name, row.exit, if row.retry { "yes" } else { "no" }, row.doc)
    };
    let head = "| code | HTTP | exit status | retry | when |\n|---|---|---|---|---|\n".to_string();
    let table = [head].into_iter().chain(CODES.iter().map(row)).collect::<String>();
    assert_eq!(shown("<!-- errors -->"), table, "README.md: copy this table below its marker:\n{table}");
}
