//! Faults of the world.

use super::*;

#[test]
fn services_and_their_variables_have_names_and_beginnings() {
    let cases: [(&str, &[&str]); 4] = [
        ("world: {}", &[r#"1:8: world: the field "services" is missing"#]),
        (
            "world: { services: {} }",
            &["1:20: world.services: at least one service is needed"],
        ),
        (
            "world:
  services:
    app: { state: { up: true, admin: ready } }
    gates: {}
    connectors: {}
    not: {}
    App: {}
    a-b: { stat: {} }
",
            &[
                r#"4:5: world.services.gates: "gates" means something else in expressions; call the service otherwise"#,
                r#"5:5: world.services.connectors: "connectors" means something else in expressions; call the service otherwise"#,
                r#"6:5: world.services.not: "not" means something else in expressions; call the service otherwise"#,
                r#"7:5: world.services.App: "App" is not a name: lower-case letters, digits and _, that begins with a letter"#,
                r#"8:5: world.services.a-b: "a-b" is not a name: lower-case letters, digits and _, that begins with a letter"#,
                r#"8:12: world.services.a-b.stat: unknown field "stat"; did you mean "state"?"#,
            ],
        ),
        (
            r#"world:
  services:
    app:
      state:
        up: true
        admin: ready
        works: 1
        Lag: 2
        list: [1]
        text: "{{ t }}"
        nothing: { }
        turned: { between: [3, 1] }
        one: { noise: [1] }
        vast: { noise: [0, 9000000000000] }
        slip: { betwen: [1, 2] }
        both: { between: [1, 2], noise: [1, 2] }
"#,
            &[
                "7:9: world.services.app.state.works: every service has works already, and what it needs decides it",
                r#"8:9: world.services.app.state.Lag: "Lag" is not a name: lower-case letters, digits and _, that begins with a letter"#,
                "9:15: world.services.app.state.list: expected a text, a number, a boolean, { between: [0, 9] } or { noise: [0, 9] }",
                "10:15: world.services.app.state.text: what a variable begins as is not filled in; write a value",
                "11:18: world.services.app.state.nothing: expected between or noise, each with two whole numbers",
                "12:28: world.services.app.state.turned.between: expected two whole numbers, the smaller first, from -1000000000000 to 1000000000000, like [0, 9]",
                "13:23: world.services.app.state.one.noise: expected two whole numbers, the smaller first, from -1000000000000 to 1000000000000, like [0, 9]",
                "14:24: world.services.app.state.vast.noise: expected two whole numbers, the smaller first, from -1000000000000 to 1000000000000, like [0, 9]",
                r#"15:17: world.services.app.state.slip.betwen: unknown field "betwen"; did you mean "between"?"#,
                "16:34: world.services.app.state.both.noise: drawn once is between, drawn each second is noise; a variable is one of them",
            ],
        ),
    ];
    for (sections, wanted) in cases {
        assert_eq!(with(sections), wanted, "{sections}");
    }
}

#[test]
fn needs_name_services_and_go_in_no_circle() {
    let cases: [(&str, &[&str]); 3] = [
        (
            "world:
  services:
    app: { needs: [app, shop, shop, sop], state: { up: true, admin: ready } }
    shop: {}
",
            &[
                "3:20: world.services.app.needs[0]: app cannot need itself; take it away",
                "3:31: world.services.app.needs[2]: shop is there twice",
                r#"3:37: world.services.app.needs[3]: there is no service "sop"; did you mean "shop"?"#,
            ],
        ),
        (
            "world:
  services:
    app: { needs: [shop], state: { up: true, admin: ready } }
    shop: { needs: [web] }
    web: { works: app.works }
",
            &[
                "3:19: world.services.app.needs: whether it works goes round in a circle: app needs shop needs web needs app; take one of them away",
            ],
        ),
        (
            "world:
  services:
    app: { works: not app.works, state: { up: true, admin: ready } }
",
            &[
                "3:19: world.services.app.works: whether it works goes round in a circle: app needs app; take one of them away",
            ],
        ),
    ];
    for (sections, wanted) in cases {
        assert_eq!(with(sections), wanted, "{sections}");
    }
}

#[test]
fn expressions_of_the_world_read_variables_that_are_there() {
    let cases: [(&str, &[&str]); 2] = [
        (
            r#"world:
  services:
    app: { state: { up: true, admin: ready } }
    shop: { works: app.upp }
    web: { works: ap.up }
    cdn: { works: app }
    dns: { works: app.up.deeper }
    tls: { works: t.x }
    log: { works: range(3) }
    bus: { works: "app['up'] and app.works | uper and app.up is even and app[t]" }
    jar: { works: "app.up +" }
  mitigated: incident.open
"#,
            &[
                r#"4:20: world.services.shop.works: app has no variable "upp"; did you mean "up"?"#,
                r#"5:19: world.services.web.works: there is no name "ap"; did you mean "app"?"#,
                r#"6:19: world.services.cdn.works: "app" must be followed by a name that is written out; app.works says whether it works"#,
                "7:19: world.services.dns.works: app.up is a value and has nothing below it",
                "8:19: world.services.tls.works: t is a number and has nothing below it",
                "9:19: world.services.log.works: there are no functions in expressions",
                r#"10:19: world.services.bus.works: "app" must be followed by a name that is written out; app.works says whether it works"#,
                r#"10:19: world.services.bus.works: there is no filter "uper"; did you mean "upper"?"#,
                r#"10:19: world.services.bus.works: there is no test "even"; known here: defined, none, number, string, undefined"#,
                "11:19: world.services.jar.works: syntax error: unexpected end of input, expected expression",
                r#"12:14: world.mitigated: "incident" is not known here: the world knows nothing of what people do; known here: the services and t"#,
            ],
        ),
        (
            r#"world:
  services:
    app: { state: { up: true, admin: ready } }
  each_second:
    - { when: "gates.x == 'open'", set: { app.up: "{{ app.upp }}" } }
    - { when: app.up, sett: { app.up: 1 } }
  mitigate: app.up
"#,
            &[
                r#"5:15: world.each_second[0].when: "gates" is not known here: the world knows nothing of what people do; known here: the services and t"#,
                r#"5:51: world.each_second[0].set["app.up"]: app has no variable "upp"; did you mean "up"?"#,
                r#"6:7: world.each_second[1]: the field "set" is missing"#,
                r#"6:23: world.each_second[1].sett: unknown field "sett"; did you mean "set"?"#,
                r#"7:3: world.mitigate: unknown field "mitigate"; did you mean "mitigated"?"#,
            ],
        ),
    ];
    for (sections, wanted) in cases {
        assert_eq!(with(sections), wanted, "{sections}");
    }
}

#[test]
fn rules_set_variables_that_may_be_set() {
    let sections = r#"world:
  services:
    app: { state: { up: true, admin: ready, load: { noise: [1, 2] } } }
  each_second:
    - { set: { app.load: 1 } }
    - { set: { app.works: true } }
    - { set: { app.upp: 1 } }
    - { set: { ap.up: 1 } }
    - { set: { up: 1 } }
    - { set: {} }
  always:
    - { set: { app.up: [1] } }
    - { set: { app.up: } }
    - { set: { app.up: "{{ app.up * 2 }}" } }
    - when: app.up
"#;
    assert_eq!(
        with(sections),
        [
            r#"5:16: world.each_second[0].set["app.load"]: app.load is noise, drawn anew each second, and cannot be set; give it a value, or between"#,
            r#"6:16: world.each_second[1].set["app.works"]: app.works follows from the rest and cannot be set; set a variable that it reads"#,
            r#"7:16: world.each_second[2].set["app.upp"]: app has no variable "upp"; did you mean "up"?"#,
            r#"8:16: world.each_second[3].set["ap.up"]: there is no service "ap"; did you mean "app"?"#,
            r#"9:16: world.each_second[4].set.up: "up" is not a variable; write it like service.variable"#,
            "10:14: world.each_second[5].set: at least one variable is needed, like service.variable",
            r#"12:24: world.always[0].set["app.up"]: expected a text, a number or a boolean, found a list"#,
            r#"13:16: world.always[1].set["app.up"]: has no value"#,
            r#"14:24: world.always[2].set["app.up"]: the operator * is not part of the language"#,
            r#"15:7: world.always[3]: the field "set" is missing"#
        ]
    );
}
