//! What the figures were measured on: cores, the disk's time to make 4 KiB durable, versions.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// The machine and the programs of a run.
pub struct Machine {
    pub cores: usize,
    pub fsync_us: f64,
    pub jdk: String,
    pub sqlite: String,
    pub system: String,
}

impl Machine {
    pub fn look(folder: &Path, java: &str) -> Machine {
        Machine {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            fsync_us: fsync_us(folder),
            jdk: jdk(java),
            sqlite: rusqlite::version().into(),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }
}

/// Median microseconds of appending 4 KiB and `fdatasync`.
fn fsync_us(folder: &Path) -> f64 {
    let path = folder.join("fsync");
    let mut file = File::create(&path).expect("a file in the folder of the benchmark");
    let mut took: Vec<f64> = (0..300)
        .map(|_| {
            let begun = Instant::now();
            file.write_all(&[7; 4096]).and_then(|()| file.sync_data()).expect("the disk takes 4 KiB");
            begun.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    let _ = std::fs::remove_file(path);
    took.sort_by(f64::total_cmp);
    took[took.len() / 2]
}

fn jdk(java: &str) -> String {
    let output = Command::new(java).arg("-version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).unwrap_or_default();
    text.split('"').nth(1).unwrap_or("none").to_string()
}
