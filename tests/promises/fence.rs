//! Every order in which claims, heartbeats, completions, lost and doubled messages, expiry and a cancel can happen to
//! one job with two workers, over the real rules. Without the fence the same search finds two who completed it.
//! It does not look at stores or clocks.

use errand::job::{Ending, Event, Facts, Status, decide};
use stateright::{Checker, Model, Property};
use std::collections::BTreeSet;

const WORKERS: usize = 2;
const LEASE: i64 = 2;
const END_OF_TIME: i64 = 5;

/// The rules, with the fence or without.
#[derive(Clone)]
struct Fenced(bool);

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Message {
    Heartbeat(i64),
    Complete(i64),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    status: Status,
    /// The attempt's number is its token.
    attempt: i64,
    spent: i64,
    cancel: bool,
    until: Option<i64>,
    now: i64,
    /// The token that each worker believes in.
    holds: [Option<i64>; WORKERS],
    /// On their way; each may arrive late, twice or never.
    sent: BTreeSet<Message>,
    /// Tokens whose completion was accepted, in their order.
    completed: Vec<i64>,
    /// A heartbeat or completion was accepted of somebody whose lease was not the present one.
    stranger: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    Claim(usize),
    Beat(usize),
    Finish(usize),
    Die(usize),
    Deliver(Message),
    Lose(Message),
    Expire,
    Cancel,
    Tick,
}

impl State {
    fn facts(&self) -> Facts {
        Facts {
            status: self.status,
            attempt: self.attempt,
            max_attempts: 2,
            spent: self.spent,
            cancel_requested: self.cancel,
            due_ms: 0,
            lease_ms: LEASE,
            lease_until_ms: self.until,
        }
    }

    /// What becomes of it; nothing where the rules refuse.
    fn after(&self, event: &Event) -> Option<State> {
        let next = decide(&self.facts(), event, self.now).ok()?.next;
        let (until, cancel) = (next.lease_until_ms, next.cancel_requested);
        Some(State { status: next.status, attempt: next.attempt, spent: next.spent, cancel, until, ..self.clone() })
    }

    fn is_present(&self, token: i64) -> bool {
        self.status.is_active() && self.attempt == token && self.until > Some(self.now)
    }
}

impl Model for Fenced {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            status: Status::Queued,
            attempt: 0,
            spent: 0,
            cancel: false,
            until: None,
            now: 0,
            holds: [None; WORKERS],
            sent: BTreeSet::new(),
            completed: Vec::new(),
            stranger: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for worker in 0..WORKERS {
            match state.holds[worker] {
                None => actions.push(Action::Claim(worker)),
                Some(_) => actions.extend([Action::Beat(worker), Action::Finish(worker), Action::Die(worker)]),
            }
        }
        for message in &state.sent {
            actions.extend([Action::Deliver(message.clone()), Action::Lose(message.clone())]);
        }
        actions.extend([Action::Expire, Action::Cancel]);
        if state.now < END_OF_TIME {
            actions.push(Action::Tick);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Claim(worker) => {
                next = state.after(&Event::Claim { lease_ms: LEASE })?;
                next.holds[worker] = Some(next.attempt);
            }
            Action::Beat(worker) => drop(next.sent.insert(Message::Heartbeat(state.holds[worker]?))),
            // It does not know whether this arrives: it may say it again.
            Action::Finish(worker) => drop(next.sent.insert(Message::Complete(state.holds[worker]?))),
            Action::Die(worker) => next.holds[worker] = None,
            // What was delivered stays on its way: it may arrive once more.
            Action::Deliver(message) => next = self.delivered(state, &message)?,
            Action::Lose(message) => drop(next.sent.remove(&message)),
            Action::Expire => next = state.after(&Event::Expire)?,
            Action::Cancel => next = state.after(&Event::Cancel)?,
            Action::Tick => next.now += 1,
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Fenced>> {
        vec![
            Property::always("only the holder of the present lease is heard", |_, state: &State| !state.stranger),
            Property::always("it is completed once", |_, state: &State| state.completed.len() <= 1),
            Property::always("what was completed stays so", |_, state: &State| {
                state.completed.is_empty() || state.status == Status::Succeeded
            }),
            Property::always("its budget is kept", |_, state: &State| state.spent <= 2 && state.attempt <= 2),
            Property::sometimes("it is completed", |_, state: &State| state.status == Status::Succeeded),
            Property::sometimes("it is completed by the second", |_, state: &State| state.completed == [2]),
            Property::sometimes("it times out", |_, state: &State| state.status == Status::TimedOut),
            Property::sometimes("it is cancelled under lease", |_, state: &State| {
                state.status == Status::Cancelled && state.attempt > 0
            }),
        ]
    }
}

impl Fenced {
    fn delivered(&self, state: &State, message: &Message) -> Option<State> {
        let (Message::Heartbeat(token) | Message::Complete(token)) = *message;
        let right = if self.0 { state.attempt == token } else { true };
        let event = match message {
            Message::Heartbeat(_) => Event::Heartbeat { token: right, lease_ms: None },
            Message::Complete(_) => Event::Complete { token: right, ending: Ending::Succeeded },
        };
        let mut next = state.after(&event)?;
        next.stranger |= !state.is_present(token);
        if let Message::Complete(token) = message {
            next.completed.push(*token);
        }
        Some(next)
    }
}

#[test]
fn in_every_order_of_events_only_the_holder_of_the_present_lease_is_heard() {
    let checked = Fenced(true).checker().spawn_bfs().join();
    assert!(checked.unique_state_count() > 1_000, "only {} states were reached", checked.unique_state_count());
    checked.assert_properties();
}

/// The proof that the search bites.
#[test]
fn without_the_fence_the_search_finds_somebody_who_is_heard_without_a_lease() {
    let checked = Fenced(false).checker().spawn_bfs().join();
    assert!(checked.discovery("only the holder of the present lease is heard").is_some());
}
