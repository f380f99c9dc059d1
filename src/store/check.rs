//! What a look at a whole store finds. It does not know how it is looked at.

/// Something that contradicts what must hold of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The name of what is broken: a law, or `integrity`, `schema`, `batch`, `edn`, `bytes`.
    pub law: &'static str,
    /// What should hold.
    pub says: &'static str,
    pub table: String,
    /// The row's own name where it has one, else its primary key.
    pub row: String,
    pub found: String,
    pub expected: String,
}

/// How thorough a look is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// Every text that should be EDN is read.
    pub deep: bool,
    /// How many faults of one kind are told; the others are only counted.
    pub told_max: usize,
}

/// The faults that were found: the first of each kind, and how many there are.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    pub told: Vec<Fault>,
    pub count: u64,
}

/// What there is in a store, and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    pub schema: usize,
    /// Whether the schema is this program's: only then are its rows looked at.
    pub current: bool,
    pub jobs: i64,
    pub batches: i64,
    pub resources: i64,
    pub faults: Faults,
}

impl Faults {
    /// Adds a fault, told where it is among the first of its kind.
    pub fn add(&mut self, fault: Fault, told_max: usize) {
        self.count += 1;
        if self.told.iter().rev().take_while(|told| told.law == fault.law).count() < told_max {
            self.told.push(fault);
        }
    }
}
