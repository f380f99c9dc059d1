//! Figures of several rounds beside the limit of the same rounds, and how they stand to the bar: a table for people,
//! JSON for machines. It does not measure.

use crate::machine::Machine;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

/// What a figure is held against, in the same rounds.
pub struct Limit {
    pub what: String,
    pub rounds: Vec<f64>,
    pub bar: Option<Bar>,
}

/// `AtLeast(f)`: the figure is at least f × the limit. `AtMost(f, more)`: at most f × the limit + more.
#[derive(Clone, Copy)]
pub enum Bar {
    AtLeast(f64),
    AtMost(f64, f64),
}

/// One figure.
pub struct Row {
    pub phase: &'static str,
    pub what: String,
    pub unit: &'static str,
    pub rounds: Vec<f64>,
    pub limit: Option<Limit>,
}

pub fn median(rounds: &[f64]) -> f64 {
    let mut sorted = rounds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        self.limit.as_ref().map(|limit| median(&self.rounds) / median(&limit.rounds))
    }

    /// `holds`, or by how much of the bar it falls short.
    fn verdict(&self) -> Option<String> {
        if self.rounds.is_empty() {
            return Some("not measured".into());
        }
        let limit = self.limit.as_ref()?;
        let (figure, against) = (median(&self.rounds), median(&limit.rounds));
        let missing = match limit.bar? {
            Bar::AtLeast(factor) => 1.0 - figure / (factor * against),
            Bar::AtMost(factor, more) => figure / (factor * against + more) - 1.0,
        };
        Some(if missing <= 0.0 { "holds".into() } else { format!("short by {:.0} %", (missing * 100.0).max(1.0)) })
    }

    fn bar(&self) -> String {
        match self.limit.as_ref().and_then(|limit| limit.bar) {
            Some(Bar::AtLeast(factor)) => format!("≥ {factor:.2} ×"),
            Some(Bar::AtMost(factor, 0.0)) => format!("≤ {factor:.2} ×"),
            Some(Bar::AtMost(factor, more)) => format!("≤ {factor:.0} × + {}", shown(more)),
            None => String::new(),
        }
    }
}

/// A figure with as many digits as it deserves.
pub fn shown(figure: f64) -> String {
    match figure.abs() {
        f if f.is_nan() => "–".into(),
        f if f >= 100.0 => {
            let digits = format!("{figure:.0}");
            let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
            groups.join(" ")
        }
        f if f >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

fn range(rounds: &[f64]) -> String {
    let (least, most) =
        (rounds.iter().copied().fold(f64::NAN, f64::min), rounds.iter().copied().fold(f64::NAN, f64::max));
    format!("{}–{}", shown(least), shown(most))
}

pub fn table(machine: &Machine, rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["", "figure", "median", "range", "unit", "limit of the same run", "limit", "ratio", "bar", ""]);
    let mut phase = "";
    for row in rows {
        let limit = row.limit.as_ref();
        table.add_row([
            if row.phase == phase { String::new() } else { row.phase.to_string() },
            row.what.clone(),
            shown(median(&row.rounds)),
            range(&row.rounds),
            row.unit.to_string(),
            limit.map(|limit| limit.what.clone()).unwrap_or_default(),
            limit.map(|limit| shown(median(&limit.rounds))).unwrap_or_default(),
            row.ratio().map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
            row.bar(),
            row.verdict().unwrap_or_default(),
        ]);
        phase = row.phase;
    }
    for column in [2, 3, 6, 7] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{}\n{table}", machine_line(machine))
}

fn machine_line(machine: &Machine) -> String {
    let Machine { cores, fsync_us, jdk, sqlite, system } = machine;
    format!(
        "{cores} cores, {system}, append 4 KiB + fdatasync p50 {fsync_us:.0} µs, SQLite {sqlite}, JDK {jdk}; sync FULL unless said"
    )
}

pub fn json(machine: &Machine, rows: &[Row]) -> Value {
    let row = |row: &Row| {
        let limit = row.limit.as_ref();
        json!({
            "phase": row.phase, "what": row.what, "unit": row.unit, "median": median(&row.rounds), "rounds": row.rounds,
            "limit": limit.map(|limit| json!({"what": limit.what, "median": median(&limit.rounds), "rounds": limit.rounds})),
            "ratio": row.ratio(), "bar": row.bar(), "verdict": row.verdict(),
        })
    };
    json!({
        "machine": {"cores": machine.cores, "fsyncUs": machine.fsync_us, "jdk": machine.jdk, "sqlite": machine.sqlite,
                    "system": machine.system},
        "rows": rows.iter().map(row).collect::<Vec<_>>(),
    })
}
