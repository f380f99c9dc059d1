//! Kills and stops, at random from a seed, and when they were.

use super::lateness::Span;
use super::players::{Player, Role, Stage, Way};
use super::{Chance, wall_ms};
use crate::promises::wait;
use rustix::process::{Flock, FlockType, Pid, Signal, fcntl_getlk};
use std::io::BufRead;
use std::path::Path;
use std::time::{Duration, Instant};

pub const LEASE: Duration = Duration::from_secs(1);
/// The engine's own: how long a lease that is over may go unnoticed.
pub const SWEEP: Duration = Duration::from_secs(1);
const STOP: Duration = Duration::from_millis(1_500);

/// What was done to the players.
#[derive(Default)]
pub struct Blows {
    /// Who was killed, whether it was over HTTP, and when by the wall clock.
    pub killed: Vec<(String, Way, i64)>,
    pub kills: usize,
    /// When a process was stopped.
    pub stops: Vec<Span>,
    /// When a stopped process held the store's lock, so that nobody could write.
    pub held: Vec<Span>,
    /// When the server was stopped: what had been sent to it was taken afterwards.
    pub mute: Vec<Span>,
    /// When the machine held up the witness.
    pub machine: Vec<Span>,
    /// Who ended without being asked to.
    pub fallen: Vec<Role>,
}

pub struct Rage<'a> {
    pub stage: &'a mut Stage,
    pub players: Vec<Player>,
    pub blows: Blows,
    pub chance: Chance,
}

impl Rage<'_> {
    /// Starts everybody and strikes for so long.
    pub fn go_on(&mut self, time: Duration) {
        let until = Instant::now() + time;
        for role in Stage::roles() {
            let player = self.stage.start(role);
            self.players.push(player);
        }
        // However slow the machine is, there is a storm.
        while Instant::now() < until || self.blows.kills < 3 {
            wait(Duration::from_millis(50 + self.chance.below(250) as u64));
            self.strike();
        }
    }

    fn strike(&mut self) {
        let number = self.chance.below(self.players.len());
        // Mostly it has to have begun to work: a JVM that is killed while it starts would never do anything.
        if !self.players[number].is_ready() && self.chance.below(20) > 0 {
            return;
        }
        if self.chance.below(10) == 0 { self.stop(number) } else { self.kill(number) }
    }

    fn kill(&mut self, number: usize) {
        let mut player = self.players.swap_remove(number);
        if player.has_ended() {
            self.blows.fallen.push(player.role);
        } else {
            player.signal(Signal::KILL);
            self.blows.kills += 1;
        }
        let (role, name) = (player.role, player.name.clone());
        drop(player);
        if let Role::Worker(way) | Role::Jvm(way) = role {
            self.blows.killed.push((name, way, wall_ms()));
        }
        let player = self.stage.start(role);
        self.players.push(player);
    }

    /// Stops one for longer than a lease. Where it was in the middle of a commit nobody can write meanwhile: SQLite's
    /// lock is the process's until it goes on or dies.
    fn stop(&mut self, number: usize) {
        let player = &self.players[number];
        let (from, began) = (wall_ms(), Instant::now());
        player.stop();
        let holds = writer(&self.stage.place.store()) == Some(player.pid());
        wait(STOP.saturating_sub(began.elapsed()));
        player.signal(Signal::CONT);
        let span = (from, wall_ms());
        self.blows.stops.push(span);
        if holds {
            self.blows.held.push(span);
        }
        if player.role == Role::Server {
            self.blows.mute.push(span);
        }
    }

    /// Ends those who submit; the workers go on.
    pub fn calm(&mut self) {
        let workers = |player: &Player| matches!(player.role, Role::Server | Role::Worker(_));
        self.players.retain(workers);
    }
}

/// Which process has SQLite's lock for writing: byte 120 of the index of its log. This process must have no connection
/// of its own meanwhile: closing the file here would end its locks.
fn writer(store: &Path) -> Option<Pid> {
    let mut index = store.as_os_str().to_owned();
    index.push("-shm");
    let index = std::fs::File::open(index).ok()?;
    let byte = Flock { start: 120, length: 1, ..Flock::from(FlockType::ReadLock) };
    fcntl_getlk(&index, &byte).expect("the file can have locks")?.pid
}

#[test]
fn a_process_in_the_middle_of_a_commit_is_seen_to_be_there() {
    let place = crate::program::Place::new();
    let mut holder = super::roles::start("write", &place.store().display().to_string(), "");
    let mut said = std::io::BufReader::new(holder.stdout.take().expect("it is a pipe")).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("said ready")));
    assert_eq!(writer(&place.store()), Some(Pid::from_child(&holder)));
    holder.kill().and_then(|()| holder.wait()).expect("it is a child");
    assert_eq!(writer(&place.store()), None);
}
