//! The programs of a target and the arguments each takes; and whether a step's arguments are among them.

use std::{collections::BTreeSet, ops::RangeInclusive};

use serde_json::Value;

use super::{
    document::Content,
    fields::{Field, Fields},
    findings::Findings,
    runbook::slug,
    targets::{absolute, secrets},
};
use crate::domain::{
    program::{
        ARGUMENTS_MAX, Accepts, Argument, Parameter, Pattern, Program, ProgramLimits, REPEATED_MAX,
        VALUE_BYTES_MAX, Values,
    },
    span::Span,
    step::{ActionKind, Request},
    target::{CommandConnection, Connection, Target},
};

const PROGRAMS_MAX: usize = 100;
/// Values one parameter may choose from.
const CHOICES_MAX: usize = 100;
const CPU: RangeInclusive<Span> = Span::from_secs(1)..=Span::from_secs(24 * 3600);
const MEMORY_MIB: RangeInclusive<u32> = 16..=1_048_576;
const OPEN_FILES: RangeInclusive<u32> = 16..=65_536;
const FILE_MIB: RangeInclusive<u32> = 1..=1_048_576;
const PROCESSES: RangeInclusive<u32> = 1..=65_536;

/// Reads `command` of a target.
pub(super) fn read(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<CommandConnection> {
    let fields = field.fields(&["programs", "dir", "env", "user", "limits"], findings)?;
    let programs = match fields.need("programs", findings) {
        Some(field) => list(&field, findings),
        None => Vec::new(),
    };
    let dir = fields.get("dir").and_then(|dir| dir.parsed(absolute, findings));
    let env = secrets(fields.get("env"), findings);
    let user = fields.get("user").and_then(|user| user.parsed(login, findings));
    let limits = fields.get("limits").map(|limits| limits_of(&limits, findings));
    Some(CommandConnection {
        programs,
        dir,
        env,
        user,
        limits: limits.unwrap_or_default(),
    })
}

/// Reads `programs`.
pub(super) fn list(field: &Field<'_>, findings: &mut Findings<'_>) -> Vec<Program> {
    let mut programs = Vec::new();
    let items = field.list(PROGRAMS_MAX, findings);
    if matches!(&field.node.content, Content::List(items) if items.is_empty()) {
        findings.fault(&field.path, "at least one program is needed");
    }
    for item in items {
        let Some(program) = program(&item, findings) else {
            continue;
        };
        tell_apart(&program, &programs, &item, findings);
        programs.push(program);
    }
    programs
}

/// A path alone takes no arguments.
fn program(item: &Field<'_>, findings: &mut Findings<'_>) -> Option<Program> {
    if !matches!(&item.node.content, Content::Map(_)) {
        return item.parsed(absolute, findings).map(Program::bare);
    }
    let fields = item.fields(&["name", "path", "args"], findings)?;
    let name = fields.get("name").and_then(|name| slug(&name, findings));
    let path = fields.need("path", findings)?.parsed(absolute, findings);
    let mut args = Vec::new();
    let mut names = BTreeSet::new();
    if let Some(list) = fields.get("args") {
        for item in list.list(ARGUMENTS_MAX, findings) {
            let argument = match &item.node.content {
                Content::Map(_) => parameter(&item, findings).map(Argument::Parameter),
                _ => item.parsed(plain, findings).map(Argument::Literal),
            };
            if let Some(Argument::Parameter(parameter)) = &argument
                && !names.insert(parameter.name.clone())
            {
                findings.fault(&item.path, format!("\"{}\" is there twice", parameter.name));
            }
            args.extend(argument);
        }
    }
    Some(Program {
        name,
        path: path?,
        args,
    })
}

/// Two ways to call one program must have names, and no two things the same one.
fn tell_apart(new: &Program, others: &[Program], item: &Field<'_>, findings: &mut Findings<'_>) {
    if new.name.is_some() && others.iter().any(|other| other.name == new.name) {
        let name = new.name.as_deref().unwrap_or_default();
        findings.fault(
            &item.path,
            format!("\"{name}\" is the name of another program already"),
        );
    }
    let is_nameless =
        |program: &Program| program.path == new.path && (program.name.is_none() || new.name.is_none());
    if others.iter().any(is_nameless) {
        findings.fault(
            &item.path,
            format!(
                "{} is there more than once; give each a name, for steps to say which",
                new.path
            ),
        );
    }
}

fn parameter(item: &Field<'_>, findings: &mut Findings<'_>) -> Option<Parameter> {
    let known = [
        "name",
        "pattern",
        "values",
        "flag",
        "optional",
        "repeated",
        "leading_dash",
    ];
    let fields = item.fields(&known, findings)?;
    let name = fields
        .need("name", findings)
        .and_then(|name| name.parsed(parameter_name, findings));
    let accepts = accepts(item, &fields, findings);
    let flag = fields.get("flag").and_then(|flag| flag.parsed(plain, findings));
    let is_set = |key: &str, findings: &mut Findings<'_>| {
        fields
            .get(key)
            .and_then(|field| field.flag(findings))
            .unwrap_or(false)
    };
    let repeated = match fields.get("repeated") {
        Some(field) => field.count(1..=REPEATED_MAX, findings),
        None => Some(1),
    };
    Some(Parameter {
        optional: is_set("optional", findings),
        leading_dash: is_set("leading_dash", findings),
        name: name?,
        accepts: accepts?,
        flag,
        repeated: repeated?,
    })
}

fn accepts(item: &Field<'_>, fields: &Fields<'_>, findings: &mut Findings<'_>) -> Option<Accepts> {
    match (fields.get("pattern"), fields.get("values")) {
        (Some(pattern), None) => {
            let read = |text: &str| Pattern::try_from(text.to_owned());
            pattern.parsed(read, findings).map(Accepts::Pattern)
        }
        (None, Some(values)) => {
            let items = values.list(CHOICES_MAX, findings);
            if items.is_empty() {
                findings.fault(&values.path, "at least one value is needed");
            }
            let read = items.iter().filter_map(|item| item.parsed(plain, findings));
            Some(Accepts::OneOf(read.collect()))
        }
        _ => {
            findings.fault(
                &item.path,
                "says what it takes in one way: by a pattern or by a list of values",
            );
            None
        }
    }
}

fn parameter_name(text: &str) -> Result<String, &'static str> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    match text.len() <= 63 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("expected a name of lower-case letters, digits and _, that begins with a letter"),
    }
}

fn plain(text: &str) -> Result<String, String> {
    match text.contains('\0') || text.len() > VALUE_BYTES_MAX {
        true => Err(format!(
            "an argument has at most {VALUE_BYTES_MAX} bytes and no NUL"
        )),
        false => Ok(text.to_owned()),
    }
}

fn login(text: &str) -> Result<String, &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    match text.len() <= 32 && !text.starts_with('-') && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("expected the name of a user of this machine"),
    }
}

fn limits_of(field: &Field<'_>, findings: &mut Findings<'_>) -> ProgramLimits {
    let usual = ProgramLimits::default();
    let known = ["cpu", "memory_mib", "open_files", "file_mib", "processes"];
    let Some(fields) = field.fields(&known, findings) else {
        return usual;
    };
    let cpu = fields.get("cpu").and_then(|field| field.span(CPU, findings));
    let mut count = |key: &str, bounds| fields.get(key).and_then(|field| field.count(bounds, findings));
    ProgramLimits {
        cpu: cpu.unwrap_or(usual.cpu),
        memory_mib: count("memory_mib", MEMORY_MIB).unwrap_or(usual.memory_mib),
        open_files: count("open_files", OPEN_FILES).unwrap_or(usual.open_files),
        file_mib: count("file_mib", FILE_MIB).unwrap_or(usual.file_mib),
        processes: count("processes", PROCESSES),
    }
}

/// Why a step's arguments can never be sent to this target: the key below `with` where that is, and the problem. What a
/// template stands in is only known in a run.
pub(super) fn misfit(request: &Request, target: &Target) -> Option<(&'static str, String)> {
    let Connection::Command(host) = &target.connection else {
        return None;
    };
    if request.action != ActionKind::Command {
        return None;
    }
    let with = &request.with;
    let named = with["program"].as_str().filter(|name| !name.contains("{{"))?;
    let program = match host.program(named) {
        Ok(program) => program,
        Err(problem) => return Some(("program", problem)),
    };
    if with["args"].is_null() {
        let values: Values = with["params"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| {
                let items = match value {
                    Value::Array(items) => items.as_slice(),
                    single => std::slice::from_ref(single),
                };
                (name.clone(), items.iter().map(known).collect())
            })
            .collect();
        let place = if with["params"].is_null() {
            "program"
        } else {
            "params"
        };
        return program
            .check_values(&values)
            .err()
            .map(|problem| (place, problem));
    }
    let args: Vec<Option<String>> = with["args"].as_array().into_iter().flatten().map(known).collect();
    let args: Vec<Option<&str>> = args.iter().map(Option::as_deref).collect();
    program.check_args(&args).err().map(|problem| ("args", problem))
}

/// What a value is sent as, if that is known before a run.
fn known(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.contains("{{") => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
