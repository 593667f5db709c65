//! Which arguments programs take, and which they do not.

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
