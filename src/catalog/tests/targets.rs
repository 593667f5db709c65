//! Faults in the targets file.

use super::parse_targets;
use crate::domain::{
    span::Span,
    target::{Connection, SecretRef, Tls},
};

/// Faults of one target written in flow style in line 2.
fn faults_of(target: &str) -> Vec<String> {
    faults(&format!("targets:\n- {{ {target} }}"))
}

fn faults(source: &str) -> Vec<String> {
    match parse_targets(source) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn every_fault_of_a_target_has_its_place() {
    const SECRET: &str =
        "a credential is a reference, env:NAME or file:/absolute/path, never the secret itself";
    for (target, expected) in [
        (
            "name: a",
            "2:3: targets[0]: says nothing of how it is reached: exactly one of http, tcp, postgres, prometheus, alertmanager, haproxy, loki, elasticsearch, file, command is needed",
        ),
        (
            "tcp: { address: 'a:1' }",
            r#"2:3: targets[0]: the field "name" is missing"#,
        ),
        (
            "name: A, tcp: { address: 'a:1' }",
            r#"2:11: targets[0].name: "A" is not a name: 1 to 63 lower-case letters, digits and inner dashes"#,
        ),
        (
            "name: a, tcp: { address: 'a:1' }, file: { path: /a }",
            "2:39: targets[0].file: one target is reached in one way, but here are tcp and file",
        ),
        (
            "name: a, tcp: { address: a }",
            "2:30: targets[0].tcp.address: expected host:port",
        ),
        (
            "name: a, tcp: { address: 'a:0' }",
            "2:30: targets[0].tcp.address: expected host:port",
        ),
        (
            "name: a, tcp: { address: 'http://a:1' }",
            "2:30: targets[0].tcp.address: expected host:port",
        ),
        (
            "name: a, tcp: { adress: 'a:1', address: 'b:1' }",
            r#"2:21: targets[0].tcp.adress: unknown field "adress"; did you mean "address"?"#,
        ),
        (
            "name: a, haproxy: { address: 'unix:run/x' }",
            "2:34: targets[0].haproxy.address: expected an absolute path without ..",
        ),
        (
            "name: a, file: { path: log/x }",
            "2:28: targets[0].file.path: expected an absolute path without ..",
        ),
        (
            "name: a, file: { path: /var/../etc/x }",
            "2:28: targets[0].file.path: expected an absolute path without ..",
        ),
        (
            "name: a, command: { programs: [] }",
            "2:35: targets[0].command.programs: at least one program is needed",
        ),
        (
            "name: a, command: { programs: [du] }",
            "2:36: targets[0].command.programs[0]: expected an absolute path without ..",
        ),
        (
            "name: a, command: { programs: [/bin/du], env: { A: b } }",
            &format!("2:56: targets[0].command.env.A: {SECRET}"),
        ),
        (
            "name: a, http: { url: 'http://me:hush@a/' }",
            "2:27: targets[0].http.url: a URL holds no login or password; use basic: env:NAME with user:password in it",
        ),
        (
            "name: a, http: { url: 'ftp://a/' }",
            "2:27: targets[0].http.url: expected a URL that begins with http:// or https://",
        ),
        (
            "name: a, http: { url: a }",
            "2:27: targets[0].http.url: not a URL; write it like https://host:port/path",
        ),
        (
            "name: a, http: { url: 'http://a/?token=hush' }",
            "2:27: targets[0].http.url: the URL of a target has no query and no fragment",
        ),
        (
            "name: a, http: { url: 'http://a', bearer: hush }",
            &format!("2:47: targets[0].http.bearer: {SECRET}"),
        ),
        (
            "name: a, http: { url: 'http://a', bearer: env:A, basic: env:B }",
            "2:54: targets[0].http.basic: a request is signed in one way: bearer or basic",
        ),
        (
            "name: a, postgres: { host: 'postgres://me:hush@a', user: b }",
            "2:32: targets[0].postgres.host: expected a host name, an address or an absolute folder",
        ),
        (
            "name: a, postgres: { host: run/x, user: b }",
            "2:32: targets[0].postgres.host: expected an absolute path without ..",
        ),
        (
            "name: a, postgres: { host: b }",
            r#"2:24: targets[0].postgres: the field "user" is missing"#,
        ),
        (
            "name: a, postgres: { host: b, user: c, port: 65536 }",
            "2:50: targets[0].postgres.port: must be a whole number from 1 to 65535, found 65536",
        ),
        (
            "name: a, postgres: { host: b, user: c, tls: on }",
            r#"2:49: targets[0].postgres.tls: expected disable, prefer, require, verify-full, found "on""#,
        ),
        (
            "name: a, postgres: { host: b, user: c, password: hush }",
            &format!("2:54: targets[0].postgres.password: {SECRET}"),
        ),
        (
            "name: a, command: { programs: [/bin/a, { path: /bin/a, args: [b] }] }",
            "2:48: targets[0].command.programs[1]: /bin/a is there more than once; give each a name, for steps to say which",
        ),
        (
            "name: a, command: { programs: [{ name: x, path: /bin/a }, { name: x, path: /bin/b }] }",
            r#"2:67: targets[0].command.programs[1]: "x" is the name of another program already"#,
        ),
        (
            "name: a, command: { programs: [{ path: /bin/a, args: [{ name: b }] }] }",
            "2:63: targets[0].command.programs[0].args[0]: says what it takes in one way: by a pattern or by a list of values",
        ),
        (
            "name: a, command: { programs: [{ path: /bin/a, args: [{ name: b, pattern: '[' }] }] }",
            "2:83: targets[0].command.programs[0].args[0].pattern: not a pattern: unclosed character class",
        ),
        (
            "name: a, command: { programs: [{ path: /bin/a, args: [{ name: b, values: [c] }, { name: b, values: [c] }] }] }",
            r#"2:89: targets[0].command.programs[0].args[1]: "b" is there twice"#,
        ),
        (
            "name: a, command: { programs: [{ path: /bin/a, args: [{ name: b, values: [c], repeated: 65 }] }] }",
            "2:97: targets[0].command.programs[0].args[0].repeated: must be a whole number from 1 to 64, found 65",
        ),
        (
            "name: a, command: { programs: [/bin/a], limits: { memory_mib: 1 } }",
            "2:71: targets[0].command.limits.memory_mib: must be a whole number from 16 to 1048576, found 1",
        ),
        (
            "name: a, command: { programs: [/bin/a], user: -x }",
            "2:55: targets[0].command.user: expected the name of a user of this machine",
        ),
        (
            "name: a, tcp: { address: 'a:1' }, networks: [10.0.0.0/7]",
            "2:50: targets[0].networks[0]: the length of a network is from /8 to /32",
        ),
        (
            "name: a, tcp: { address: 'a:1' }, networks: [169.254.169.254]",
            "2:50: targets[0].networks[0]: 169.254.169.254 is never reached, whoever names it",
        ),
        (
            "name: a, networks: [127.0.0.1], file: { path: /a }",
            "2:14: targets[0].networks: a target of kind file is on this machine and in no network",
        ),
        (
            "name: a, tcp: { address: '2130706433:1' }",
            "2:30: targets[0].tcp.address: write the address as four numbers with dots",
        ),
        (
            "name: a, http: { url: 'http://0x7f.1/' }",
            "2:27: targets[0].http.url: write the address as four numbers with dots",
        ),
        (
            "name: a, postgres: { host: 127.1, user: b }",
            "2:32: targets[0].postgres.host: write the address as four numbers with dots",
        ),
        (
            "name: a, http: { url: 'http://a', redirects: 6 }",
            "2:50: targets[0].http.redirects: must be a whole number from 0 to 5, found 6",
        ),
        (
            "name: a, http: { url: 'http://a', answer_bytes_max: 1 }",
            "2:57: targets[0].http.answer_bytes_max: must be a whole number from 1024 to 67108864, found 1",
        ),
        (
            "name: a, http: { url: 'http://a', tls: { ca: file:/c } }",
            "2:39: targets[0].http.tls: tls is for addresses that begin with https://",
        ),
        (
            "name: a, http: { url: 'https://a', tls: { insecure: true } }",
            r#"2:47: targets[0].http.tls.insecure: unknown field "insecure""#,
        ),
        (
            "name: a, http: { url: 'https://a', tls: { client_key: env:A } }",
            "2:47: targets[0].http.tls.client_key: client_key works together with client_certificate only",
        ),
        (
            "name: a, http: { url: 'https://a', tls: { server_name: 10.0.0.1 } }",
            "2:60: targets[0].http.tls.server_name: expected a DNS name, like db.example.com",
        ),
        (
            "name: a, postgres: { host: b, user: c, tls: { mode: require, ca: file:/c } }",
            "2:66: targets[0].postgres.tls.ca: ca is for mode verify-full: the others let a server prove nothing",
        ),
        (
            "name: a, tcp: { address: 'a:1' }, timeout_max: 2h",
            "2:52: targets[0].timeout_max: must be from 1ms to 1h, found 2h",
        ),
        (
            "name: a, tcp: { address: 'a:1' }, labels: { b: 1 }",
            "2:52: targets[0].labels.b: expected a text, found a number; put it in quotes",
        ),
        (
            "name: a, tcp: { address: 'a:1' }, twin: b",
            r#"2:39: targets[0].twin: this version of Muster does not carry out "twin"; leave it out"#,
        ),
    ] {
        let found = faults_of(target);
        assert_eq!(found, [expected], "{target}");
        assert!(!found.concat().contains("hush"), "{found:?}");
    }
    assert_eq!(
        faults("targets:\n- { name: a, tcp: { address: 'a:1' } }\n- { name: a, file: { path: /b } }"),
        [r#"3:11: targets[1].name: "a" is in line 2 already"#]
    );
    assert_eq!(
        faults("target: []"),
        [
            r#"1:1: target: unknown field "target"; did you mean "targets"?"#,
            r#"1:1: the field "targets" is missing"#,
        ]
    );
}

#[test]
fn targets_are_read_with_what_is_not_said() {
    let source = "targets:\n\
        - { name: db, environment: prod, labels: { a: b }, timeout_max: 5s, postgres: { host: /run/pg, user: c, password: file:/p } }\n\
        - { name: six, tcp: { address: '[::1]:80' } }\n\
        - { name: lb, haproxy: { address: unix:/run/x } }\n\
        - { name: web, http: { url: 'https://a/b', headers: { x-key: env:KEY } } }\n";
    let targets = parse_targets(source).unwrap();
    let strict = "targets:\n\
        - { name: db, networks: [10.0.0.0/8], postgres: { host: b, user: c, tls: { ca: file:/ca, server_name: d } } }\n\
        - { name: web, http: { url: 'https://a', redirects: 2, tls: { ca: file:/ca, client_certificate: file:/c, client_key: file:/k } } }\n";
    let strict = parse_targets(strict).unwrap().0;
    let Connection::Postgres(database) = &strict["db"].connection else {
        panic!("{strict:?}");
    };
    assert_eq!(
        database.tls,
        Tls::VerifyFull,
        "an authority is there to be asked for"
    );
    assert_eq!(database.trust.server_name.as_deref(), Some("d"));
    assert_eq!(strict["db"].networks[0].to_string(), "10.0.0.0/8");
    assert_eq!(
        strict["web"].secrets(),
        [&SecretRef::File("/k".to_owned())],
        "a certificate is no secret"
    );
    assert_eq!(strict["web"].certificates().len(), 2);
    let db = &targets.0["db"];
    let Connection::Postgres(connection) = &db.connection else {
        panic!("{db:?}");
    };
    assert_eq!((connection.port, connection.tls), (5432, Tls::Prefer));
    assert_eq!(connection.password, Some(SecretRef::File("/p".to_owned())));
    assert_eq!(db.timeout_max, Span::from_secs(5));
    assert_eq!(targets.0["six"].timeout_max, Span::from_secs(60));
    assert_eq!(targets.0.len(), 4);
    assert_eq!(parse_targets("# nothing yet\n").unwrap().0.len(), 0);
}

#[test]
fn an_alertmanager_is_one_node_or_a_cluster_with_the_same_credentials() {
    let source = "targets:\n\
        - { name: one, alertmanager: { url: 'http://a:9093/am' } }\n\
        - { name: all, alertmanager: { urls: ['http://a:9093', 'http://b:9093'], bearer: env:TOKEN } }\n";
    let targets = parse_targets(source).unwrap();
    let nodes = |name: &str| match &targets.0[name].connection {
        Connection::Alertmanager(cluster) => cluster.nodes.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(nodes("one").len(), 1);
    let all = nodes("all");
    assert_eq!(all[1].url.as_str(), "http://b:9093/");
    assert!(
        all.iter()
            .all(|node| node.bearer == Some(SecretRef::Env("TOKEN".to_owned())))
    );
    assert_eq!(targets.0["all"].secrets().len(), 2);
    for (target, words) in [
        ("name: a, alertmanager: { urls: [] }", "at least one node"),
        (
            "name: a, alertmanager: { urls: ['ftp://a'] }",
            "http:// or https://",
        ),
        (
            "name: a, alertmanager: { url: 'http://a', urls: ['http://b'] }",
            "a whole cluster by urls",
        ),
        ("name: a, alertmanager: { bearer: env:A }", "\"url\" is missing"),
    ] {
        let found = faults_of(target).join("\n");
        assert!(found.contains(words), "{target}: {found}");
    }
}
