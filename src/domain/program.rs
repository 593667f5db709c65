//! Programs a target lets steps run: each with the arguments it takes, position by position, and what it may use up. Pure.
//!
//! A step fills named parameters in, or writes the whole list; either way nothing becomes an argument that the targets
//! file does not foresee. So a value that came with an alert stays a value: never an option, never another argument.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::span::Span;

/// The most arguments and parameters one program declares.
pub const ARGUMENTS_MAX: usize = 64;
/// The most values one parameter takes.
pub const REPEATED_MAX: u32 = 64;
/// The longest value of a parameter, in bytes.
pub const VALUE_BYTES_MAX: usize = 4096;
/// How much of a value a message repeats, in characters.
const SHOWN_CHARS_MAX: usize = 80;
/// The largest compiled pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// A program, and every way it may be called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// What steps may call it instead of its path; needed when a path is there more than once.
    #[serde(default)]
    pub name: Option<String>,
    /// Absolute path.
    pub path: String,
    /// Its arguments, in order.
    #[serde(default)]
    pub args: Vec<Argument>,
}

/// One position in the list of arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Argument {
    /// Always exactly this.
    Literal(String),
    /// Filled in by the step.
    Parameter(Parameter),
}

/// A place for values of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// What the step calls it.
    pub name: String,
    /// What it takes.
    pub accepts: Accepts,
    /// What stands before each of its values: an argument of its own, or the beginning of the same one when it ends with
    /// `=`.
    pub flag: Option<String>,
    /// Whether the step may leave it out.
    pub optional: bool,
    /// How many values it takes.
    pub repeated: u32,
    /// Whether a value may start with `-`, which many programs read as an option.
    pub leading_dash: bool,
}

/// What a parameter takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Accepts {
    /// Whatever the pattern matches from its first to its last character.
    Pattern(Pattern),
    /// One of these.
    OneOf(Vec<String>),
}

/// A regular expression that a whole value must match.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    source: String,
    regex: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Pattern {}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(source: String) -> Result<Self, String> {
        let told = |error: regex::Error| {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default().trim();
            format!("not a pattern: {}", last.trim_start_matches("error: "))
        };
        // By itself first, so that no bracket of it can reach around the anchors.
        Regex::new(&source).map_err(told)?;
        let regex = RegexBuilder::new(&format!(r"\A(?:{source})\z"))
            .size_limit(PATTERN_BYTES_MAX)
            .build()
            .map_err(told)?;
        Ok(Self { source, regex })
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.source
    }
}

/// What each program of a target may use up. Held by the kernel, for every process by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramLimits {
    /// Time on the processor, in whole seconds.
    pub cpu: Span,
    /// Memory it may address, in MiB.
    pub memory_mib: u32,
    /// Files open at once.
    pub open_files: u32,
    /// The longest file it may write, in MiB.
    pub file_mib: u32,
    /// Processes and threads of its user. `None`: [`PROCESSES_OF_A_USER`] when the target names a user, else as many as
    /// Muster itself may have, since those of Muster would count too.
    pub processes: Option<u32>,
}

/// Processes and threads of a user that a target names.
pub const PROCESSES_OF_A_USER: u32 = 64;

impl Default for ProgramLimits {
    fn default() -> Self {
        Self {
            cpu: Span::from_secs(300),
            memory_mib: 4096,
            open_files: 256,
            file_mib: 1024,
            processes: None,
        }
    }
}

/// The values of parameters by name; `None` for one that only a run will know.
pub type Values = BTreeMap<String, Vec<Option<String>>>;

impl Program {
    /// One that takes no arguments.
    pub fn bare(path: impl Into<String>) -> Self {
        Self {
            name: None,
            path: path.into(),
            args: Vec::new(),
        }
    }

    fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.args.iter().filter_map(|argument| match argument {
            Argument::Literal(_) => None,
            Argument::Parameter(parameter) => Some(parameter),
        })
    }

    /// Whether these values are what the parameters take, as far as it is known; else why not.
    pub fn check_values(&self, values: &Values) -> Result<(), String> {
        if let Some(name) = values
            .keys()
            .find(|name| self.parameters().all(|parameter| parameter.name != **name))
        {
            let names: Vec<&str> = self.parameters().map(|p| p.name.as_str()).collect();
            return Err(match names.as_slice() {
                [] => format!("params.{name} is not known; {} takes no parameters", self.path),
                names => format!(
                    "params.{name} is not known; {} takes {}",
                    self.path,
                    names.join(", ")
                ),
            });
        }
        for parameter in self.parameters() {
            let given = values.get(&parameter.name).map(Vec::as_slice).unwrap_or_default();
            let told = |why: String| format!("params.{} {why}", parameter.name);
            if given.is_empty() && !parameter.optional {
                return Err(told("is missing".to_owned()));
            }
            if given.len() > parameter.repeated as usize {
                return Err(told(format!("takes at most {} values", parameter.repeated)));
            }
            for value in given.iter().flatten() {
                parameter.judge(value).map_err(told)?;
            }
        }
        Ok(())
    }

    /// The arguments that these values make; else why they make none.
    pub fn fill(&self, values: &Values) -> Result<Vec<String>, String> {
        self.check_values(values)?;
        let mut args = Vec::new();
        for argument in &self.args {
            let parameter = match argument {
                Argument::Literal(text) => {
                    args.push(text.clone());
                    continue;
                }
                Argument::Parameter(parameter) => parameter,
            };
            for value in values.get(&parameter.name).into_iter().flatten().flatten() {
                match &parameter.flag {
                    Some(flag) if flag.ends_with('=') => args.push(format!("{flag}{value}")),
                    Some(flag) => args.extend([flag.clone(), value.clone()]),
                    None => args.push(value.clone()),
                }
            }
        }
        Ok(args)
    }

    /// Whether a whole list of arguments is one that parameters could have made; `None` stands for what only a run will
    /// know.
    pub fn check_args(&self, args: &[Option<&str>]) -> Result<(), String> {
        match fits(&self.args, args, &mut BTreeSet::new()) {
            true => Ok(()),
            false => Err(format!("args do not fit: {self}")),
        }
    }
}

/// Whether the arguments can be given to these positions, each in turn. `failed` remembers what is left over on both sides
/// of every try that came to nothing, so that no pair is tried twice.
fn fits(positions: &[Argument], args: &[Option<&str>], failed: &mut BTreeSet<(usize, usize)>) -> bool {
    let left = (positions.len(), args.len());
    let Some((position, others)) = positions.split_first() else {
        return args.is_empty();
    };
    if failed.contains(&left) {
        return false;
    }
    let found = match position {
        Argument::Literal(text) => match args.split_first() {
            Some((arg, rest)) => arg.is_none_or(|arg| arg == text) && fits(others, rest, failed),
            None => false,
        },
        Argument::Parameter(parameter) => {
            let mut ends = Vec::new();
            if parameter.optional {
                ends.push(args);
            }
            let mut rest = args;
            for _ in 0..parameter.repeated {
                let Some(after) = parameter.takes_from(rest) else {
                    break;
                };
                rest = after;
                ends.push(rest);
            }
            ends.into_iter().rev().any(|rest| fits(others, rest, failed))
        }
    };
    if !found {
        failed.insert(left);
    }
    found
}

impl Parameter {
    /// What is left of the arguments after one value of this parameter; `None` when they do not begin with one.
    fn takes_from<'a, 'b>(&self, args: &'a [Option<&'b str>]) -> Option<&'a [Option<&'b str>]> {
        let (first, rest) = args.split_first()?;
        let (value, rest) = match &self.flag {
            None => (*first, rest),
            Some(flag) if flag.ends_with('=') => match first {
                Some(first) => (Some(first.strip_prefix(flag.as_str())?), rest),
                None => (None, rest),
            },
            Some(flag) => {
                if first.is_some_and(|first| first != flag) {
                    return None;
                }
                let (value, rest) = rest.split_first()?;
                (*value, rest)
            }
        };
        value
            .is_none_or(|value| self.judge(value).is_ok())
            .then_some(rest)
    }

    /// Whether it takes this value, or why not.
    fn judge(&self, value: &str) -> Result<(), String> {
        if value.contains('\0') {
            return Err("holds NUL".to_owned());
        }
        if value.len() > VALUE_BYTES_MAX {
            return Err(format!("is longer than {VALUE_BYTES_MAX} bytes"));
        }
        let is_joined = self.flag.as_ref().is_some_and(|flag| flag.ends_with('='));
        if value.starts_with('-') && !self.leading_dash && !is_joined {
            return Err(format!("may not start with a dash: {}", shown(value)));
        }
        let is_taken = match &self.accepts {
            Accepts::Pattern(pattern) => pattern.regex.is_match(value),
            Accepts::OneOf(values) => values.iter().any(|one| one == value),
        };
        match is_taken {
            true => Ok(()),
            false => Err(format!("must {}, found {}", self.accepts, shown(value))),
        }
    }
}

fn shown(value: &str) -> String {
    match value.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{:?}…", &value[..end]),
        None => format!("{value:?}"),
    }
}

impl fmt::Display for Accepts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(pattern) => write!(f, "match {}", pattern.source),
            Self::OneOf(values) => write!(f, "be one of {}", values.join(", ")),
        }
    }
}

/// How it is called, as manuals write it: `/usr/bin/du -s <folder>... [--max-depth=<depth>]`.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        for argument in &self.args {
            let parameter = match argument {
                Argument::Literal(text) => {
                    write!(f, " {text}")?;
                    continue;
                }
                Argument::Parameter(parameter) => parameter,
            };
            let flag = match &parameter.flag {
                Some(flag) if flag.ends_with('=') => flag.clone(),
                Some(flag) => format!("{flag} "),
                None => String::new(),
            };
            let more = if parameter.repeated > 1 { "..." } else { "" };
            match parameter.optional {
                true => write!(f, " [{flag}<{}>{more}]", parameter.name)?,
                false => write!(f, " {flag}<{}>{more}", parameter.name)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(name: &str, pattern: &str) -> Parameter {
        Parameter {
            name: name.to_owned(),
            accepts: Accepts::Pattern(pattern.to_owned().try_into().unwrap()),
            flag: None,
            optional: false,
            repeated: 1,
            leading_dash: false,
        }
    }

    fn program(args: Vec<Argument>) -> Program {
        Program {
            args,
            ..Program::bare("/bin/x")
        }
    }

    fn literal(text: &str) -> Argument {
        Argument::Literal(text.to_owned())
    }

    fn values(given: &[(&str, &[&str])]) -> Values {
        let texts = |texts: &[&str]| texts.iter().map(|text| Some((*text).to_owned())).collect();
        given
            .iter()
            .map(|(name, given)| ((*name).to_owned(), texts(given)))
            .collect()
    }

    /// `restart <unit> [--since=<since>] [-f <file>...] [<rest>...]`
    fn many() -> Program {
        program(vec![
            literal("restart"),
            Argument::Parameter(parameter("unit", r"[a-z][a-z0-9-]{0,40}\.service")),
            Argument::Parameter(Parameter {
                flag: Some("--since=".to_owned()),
                optional: true,
                ..parameter("since", "-?[0-9]+[hm]")
            }),
            Argument::Parameter(Parameter {
                flag: Some("-f".to_owned()),
                optional: true,
                repeated: 3,
                ..parameter("file", "/[a-z/]+")
            }),
            Argument::Parameter(Parameter {
                accepts: Accepts::OneOf(vec!["now".to_owned(), "-1".to_owned()]),
                optional: true,
                leading_dash: true,
                ..parameter("rest", "x")
            }),
        ])
    }

    #[test]
    fn values_become_arguments_where_the_program_has_a_place_for_them() {
        for (given, args) in [
            (values(&[("unit", &["a.service"])]), vec!["restart", "a.service"]),
            (
                values(&[
                    ("rest", &["-1"]),
                    ("unit", &["a-b.service"]),
                    ("since", &["-5m"]),
                    ("file", &["/a", "/b/c"]),
                ]),
                vec![
                    "restart",
                    "a-b.service",
                    "--since=-5m",
                    "-f",
                    "/a",
                    "-f",
                    "/b/c",
                    "-1",
                ],
            ),
        ] {
            let made = many().fill(&given).unwrap();
            assert_eq!(made, args);
            let made: Vec<Option<&str>> = made.iter().map(|arg| Some(arg.as_str())).collect();
            assert_eq!(many().check_args(&made), Ok(()), "what is made fits");
        }
    }

    #[test]
    fn a_value_that_does_not_fit_is_refused_and_named() {
        let long = "a".repeat(VALUE_BYTES_MAX + 1);
        let wide = program(vec![Argument::Parameter(parameter("text", "(?s).*"))]);
        for (program, given, why) in [
            (many(), values(&[]), "params.unit is missing"),
            (many(), values(&[("unit", &[])]), "params.unit is missing"),
            (
                many(),
                values(&[("unit", &["a.service", "b.service"])]),
                "at most 1 values",
            ),
            (
                many(),
                values(&[("unit", &["a.service; rm"])]),
                "params.unit must match",
            ),
            (
                many(),
                values(&[("unit", &["a.service\n"])]),
                "params.unit must match",
            ),
            (
                many(),
                values(&[("unit", &["x\na.service"])]),
                "params.unit must match",
            ),
            (
                many(),
                values(&[("unit", &["--now"])]),
                "params.unit may not start with a dash",
            ),
            (
                many(),
                values(&[("unit", &["a.service"]), ("rest", &["then"])]),
                "be one of now, -1",
            ),
            (
                many(),
                values(&[("unit", &["a.service"]), ("what", &["x"])]),
                "params.what is not known",
            ),
            (wide.clone(), values(&[("text", &["-rf"])]), "dash"),
            (wide.clone(), values(&[("text", &["a\0b"])]), "NUL"),
            (wide.clone(), values(&[("text", &[&long])]), "longer than 4096"),
            (
                Program::bare("/bin/x"),
                values(&[("a", &["b"])]),
                "takes no parameters",
            ),
        ] {
            let refusal = program.fill(&given).unwrap_err();
            assert!(refusal.contains(why), "{refusal}");
        }
    }

    #[test]
    fn a_whole_list_fits_position_by_position() {
        for (args, fits) in [
            (vec!["restart", "a.service"], true),
            (vec!["restart", "a.service", "now"], true),
            (
                vec!["restart", "a.service", "-f", "/a", "-f", "/b", "-f", "/c"],
                true,
            ),
            (
                vec![
                    "restart",
                    "a.service",
                    "-f",
                    "/a",
                    "-f",
                    "/b",
                    "-f",
                    "/c",
                    "-f",
                    "/d",
                ],
                false,
            ),
            (vec!["restart", "a.service", "-f"], false),
            (vec!["restart", "a.service", "--since="], false),
            (vec!["restart", "a.service", "now", "--since=5m"], false),
            (vec!["restart"], false),
            (vec!["stop", "a.service"], false),
            (vec!["restart", "--now"], false),
            (vec![], false),
        ] {
            let list: Vec<Option<&str>> = args.iter().map(|arg| Some(*arg)).collect();
            assert_eq!(many().check_args(&list).is_ok(), fits, "{args:?}");
        }
        assert_eq!(
            many().check_args(&[None, None]),
            Ok(()),
            "what is not known yet may fit"
        );
        assert!(many().check_args(&[None, Some("b")]).is_err());
        // Many positions that all take anything do not take for ever.
        let greedy = || {
            Argument::Parameter(Parameter {
                optional: true,
                repeated: 64,
                ..parameter("a", "a*")
            })
        };
        let mut args: Vec<Argument> = (0..40).map(|_| greedy()).collect();
        args.push(literal("end"));
        assert!(program(args).check_args(&[Some("a"); 64]).is_err());
        assert_eq!(
            many().to_string(),
            "/bin/x restart <unit> [--since=<since>] [-f <file>...] [<rest>]"
        );
    }

    #[test]
    fn a_pattern_cannot_reach_around_its_anchors() {
        let pattern = |source: &str| Pattern::try_from(source.to_owned());
        for bad in ["a)|(?:b", "[", "(?P<x", "a{2,1}", "(a{1000}){1000}"] {
            assert!(pattern(bad).is_err(), "{bad}");
        }
        let either = program(vec![Argument::Parameter(parameter("x", "a|b"))]);
        assert!(either.fill(&values(&[("x", &["ab"])])).is_err());
        assert!(either.fill(&values(&[("x", &["b"])])).is_ok());
    }
}
