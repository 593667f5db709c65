//! Settings of the program as people look at them: what each is, what it does, and where its value comes from.

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// An environment variable.
    Environment,
    /// The command line.
    CommandLine,
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// What it belongs to.
    pub group: String,
    /// On the command line: `--hold-down`.
    pub flag: String,
    /// In the environment: `MUSTER_HOLD_DOWN`.
    pub variable: Option<String>,
    /// What it does.
    pub effect: String,
    /// Its value as text; `None` when it has none. Of a secret only that it is set.
    pub value: Option<String>,
    /// What it is when nobody sets it; `None` for nothing.
    pub default: Option<String>,
    /// Where its value comes from.
    pub origin: Origin,
}
