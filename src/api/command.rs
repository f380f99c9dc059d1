//! The table of commands: name, what it does, fields, how it runs. Every surface reads it; none repeats it.

/// One command.
pub struct Command {
    /// As over HTTP: `jobs.create`.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub doc: &'static str,
    pub fields: &'static [Field],
    /// Whether it can change durable state.
    pub mutates: bool,
}

/// One argument of a command.
pub struct Field {
    /// The kebab-case name, as in Clojure; the other names follow from it.
    pub name: &'static str,
    pub kind: Kind,
    pub required: bool,
    pub doc: &'static str,
}

/// What a field holds, with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Text of 1 to so many bytes.
    Text(usize),
    JobType,
    /// A whole number within the bounds.
    Int(i64, i64),
    /// Whole milliseconds or a duration such as "10s", within the bounds in milliseconds.
    Millis(i64, i64),
    Bool,
    /// One of these words.
    Word(&'static [&'static str]),
    /// The caller's own data, of at most so many bytes of EDN text.
    Open(usize),
    /// A map with at most so many entries, text to text.
    Labels(usize),
    /// `{:payload :metadata :max-attempts}` maps of `jobs.batches.create`.
    Jobs,
    /// Maps of artifacts, or a lone one.
    Artifacts,
    /// How the delay between scheduled checks grows: `:constant`, or `{:type … :factor … :max …}`.
    Backoff,
}

/// How a caller spells names: in errors, and in the arguments that it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// `:job-type`
    Clojure,
    /// `jobType`
    Json,
    /// `--job-type`
    Flag,
}

/// Every command, in the order of the documentation.
pub const COMMANDS: &[Command] = &[];

/// The command of that name.
pub fn command(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}
