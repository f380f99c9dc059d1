//! Workers that fall silent while nothing else goes on: in the storm itself some process is started every moment, and
//! looks for leases that are over as it opens the store; here only the control plane is left, which has to look by itself.

use super::blows::Rage;
use super::players::{Role, Way};
use super::{roles, wall_ms};
use crate::promises::wait;
use crate::support::{get, text};
use std::time::{Duration, Instant};

impl Rage<'_> {
    /// Ends all others, and lets one worker after the other claim a job and be heard of no more.
    pub fn fall_silent(&mut self, time: Duration) {
        self.players.retain(|player| player.role == Role::Server);
        let client = roles::open(&self.stage.address(Way::Http));
        let until = Instant::now() + time;
        for number in 0.. {
            wait(Duration::from_millis(self.chance.below(1_000) as u64));
            let worker = format!("silent-{number}");
            let job = format!("{{:job-type \"silent\" :max-attempts 1 :payload {{:n \"{worker}\" :do \"silence\"}}}}");
            get(&*client, "jobs.create", &job);
            let claim = format!("{{:job-type \"silent\" :worker-id \"{worker}\" :lease-duration \"1s\"}}");
            let claimed = get(&*client, "jobs.claim", &claim);
            self.blows.killed.push((worker, Way::Http, wall_ms()));
            let id = text(&claimed, &["job", "job-id"]).to_owned();
            get(&*client, "jobs.await", &format!("{{:job-id \"{id}\" :timeout-ms 60000}}"));
            if Instant::now() > until {
                return;
            }
        }
    }
}
