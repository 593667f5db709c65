//! Every setting of the server with its value and where that comes from, read off the command line's own description, so
//! that no setting is written down a second time.

use clap::{Arg, ArgMatches, Command, parser::ValueSource};

use crate::domain::setting::{Origin, Setting};

/// What stands for a value that may hold a password.
const NOT_SHOWN: &str = "set; not shown, since it may hold a password";
/// The group of what names none.
const OTHERS: &str = "Others";

/// The settings of `command` as they were read into `matches`, in the order of their description.
pub fn list(command: &Command, matches: &ArgMatches) -> Vec<Setting> {
    command
        .get_arguments()
        .filter(|arg| arg.get_long().is_some() && !["help", "version"].contains(&arg.get_id().as_str()))
        .map(|arg| setting(arg, matches))
        .collect()
}

fn setting(arg: &Arg, matches: &ArgMatches) -> Setting {
    let id = arg.get_id().as_str();
    let joined = |texts: Vec<String>| (!texts.is_empty()).then(|| texts.join(", "));
    let given = matches.get_raw(id).map(|values| {
        let texts = values.map(|value| value.to_string_lossy().into_owned());
        texts.collect::<Vec<String>>()
    });
    let value = given.and_then(joined);
    let defaults = arg.get_default_values().iter();
    let defaults = defaults
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    Setting {
        group: arg.get_help_heading().unwrap_or(OTHERS).to_owned(),
        flag: format!("--{}", arg.get_long().unwrap_or(id)),
        variable: arg.get_env().map(|name| name.to_string_lossy().into_owned()),
        effect: arg.get_help().map(ToString::to_string).unwrap_or_default(),
        value: match arg.is_hide_env_values_set() {
            true => value.map(|_| NOT_SHOWN.to_owned()),
            false => value,
        },
        default: joined(defaults),
        origin: match matches.value_source(id) {
            Some(ValueSource::CommandLine) => Origin::CommandLine,
            Some(ValueSource::EnvVariable) => Origin::Environment,
            _ => Origin::Default,
        },
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use crate::{
        config::{Cli, Command},
        domain::setting::{Origin, Setting},
    };

    fn read(line: &[&str]) -> Vec<Setting> {
        match Cli::read_from(["muster", "serve"].iter().chain(line)).command {
            Command::Serve(serve) => serve.settings,
            other => panic!("{other:?}"),
        }
    }

    fn find<'a>(settings: &'a [Setting], flag: &str) -> &'a Setting {
        settings.iter().find(|setting| setting.flag == flag).unwrap()
    }

    #[test]
    fn every_setting_of_the_server_is_listed_once_with_its_group() {
        let settings = read(&[]);
        let command = Cli::command();
        let serve = command.find_subcommand("serve").unwrap();
        for arg in serve.get_arguments().filter(|arg| arg.get_long().is_some()) {
            let flag = format!("--{}", arg.get_long().unwrap());
            let found = settings.iter().filter(|setting| setting.flag == flag).count();
            let is_ours = !["--help", "--version"].contains(&flag.as_str());
            assert_eq!(found, usize::from(is_ours), "{flag}");
        }
        for setting in &settings {
            assert_ne!(setting.group, "Others", "{}", setting.flag);
            assert!(!setting.effect.is_empty(), "{}", setting.flag);
        }
    }

    #[test]
    fn a_value_says_where_it_comes_from_and_a_password_is_never_among_them() {
        let line = [
            "--hold-down",
            "90s",
            "--database-url",
            "postgres://muster:hunter2@db/muster",
            "--source",
            "prom=env:TOKEN,dog:2m=file:/run/x",
        ];
        let settings = read(&line);
        let hold = find(&settings, "--hold-down");
        assert_eq!(hold.value.as_deref(), Some("90s"));
        assert_eq!(hold.default.as_deref(), Some("60s"));
        assert_eq!(hold.origin, Origin::CommandLine);
        assert_eq!(hold.variable.as_deref(), Some("MUSTER_HOLD_DOWN"));
        let sources = find(&settings, "--source");
        assert_eq!(
            sources.value.as_deref(),
            Some("prom=env:TOKEN, dog:2m=file:/run/x")
        );
        assert_eq!(find(&settings, "--refire").origin, Origin::Default);
        assert!(!format!("{settings:?}").contains("hunter2"));
        assert!(
            find(&settings, "--database-url")
                .value
                .as_ref()
                .unwrap()
                .starts_with("set;")
        );
    }
}
