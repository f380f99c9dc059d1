//! Workers, submitters, a control plane and JVMs, killed with -9 and stopped for longer than their lease at random.
//! A few seconds by default, without a JVM; `make storm` for longer, and with two.

use super::blows::{Blows, Rage};
use super::check::{Check, open_jobs};
use super::players::Stage;
use super::witness::Witness;
use super::{Chance, is_long, seconds, seed};
use crate::promises::wait;
use std::time::{Duration, Instant};

/// How long nothing may happen before what is left is called stuck.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn a_storm_of_kills_loses_nothing_leaves_nothing_stuck_and_completes_nothing_twice() {
    let mut stage = Stage::new();
    let seconds = seconds(4);
    let (chance, blows) = (Chance(seed()), Blows::default());
    let witness = Witness::start(&stage.place.path(""));
    let mut rage = Rage { stage: &mut stage, players: Vec::new(), blows, chance };
    let silence = Duration::from_secs(seconds) / 5;
    rage.go_on(Duration::from_secs(seconds) - silence);
    rage.calm();
    let store = rusqlite::Connection::open(rage.stage.place.store()).expect("the store opens");
    store.busy_timeout(Duration::from_secs(30)).expect("SQLite knows it");
    let (mut left, mut since) = (open_jobs(&store), Instant::now());
    while left > 0 && since.elapsed() < PATIENCE {
        wait(Duration::from_millis(50));
        let open = open_jobs(&store);
        if open != left {
            (left, since) = (open, Instant::now());
        }
    }
    rage.fall_silent(silence);
    let Rage { players, mut blows, .. } = rage;
    blows.machine = witness.end();
    drop(players);
    let check = Check::of(&stage, &blows, store);
    println!("storm: processes, {seconds} s, seed {}: {}", seed(), check.summary(&blows));
    assert!(check.acknowledged > 0 && blows.kills > 0, "there was no storm");
    // How quick a machine is that does other things besides is no matter of an ordinary test.
    assert!(!is_long() || check.lateness.late == 0, "leases were ended late");
    assert!(check.complaints.is_empty(), "{:#?}", &check.complaints[..check.complaints.len().min(20)]);
}
