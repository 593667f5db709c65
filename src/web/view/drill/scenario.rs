//! The page of one scenario: what it trains, what the trainer should know, its drills, and the form that begins one.

use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    super::{
        incident::key,
        layout::Frame,
        markdown::Markdown,
        parts::{Hidden, Said, hidden, said},
    },
    DrillRow, length,
};
use crate::{
    domain::{
        drill::Depth,
        id::{IncidentId, OperatorId},
        operator::Operator,
        scenario::{Happening, Inject, Objectives, Scenario},
        score::deed_words,
    },
    simulate::Planned,
    store::{drills::Drill, scenarios::ScenarioVersion},
};

/// People offered as players.
pub const PLAYERS_MAX: usize = 50;
/// The value of a player who takes no part in particular.
pub const NO_PART: &str = "*";

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "drill/scenario.html")]
pub struct ScenarioPage {
    frame: Frame,
    slug: String,
    number: i32,
    title: Said,
    summary: Said,
    /// What it leaves out of the incident that it plays again.
    gaps: Vec<Said>,
    brief: Markdown,
    length: String,
    runbooks: Vec<String>,
    roles: Vec<String>,
    objectives: Vec<(&'static str, String)>,
    injects: Vec<(Said, String, Vec<Said>)>,
    expected: Vec<Said>,
    stops: Vec<Said>,
    is_game_day: bool,
    touches: Vec<(Said, Said)>,
    drills: Vec<DrillRow>,
    /// The form, for those who may begin a drill.
    form: Option<LaunchForm>,
    shelf: Shelf,
}

/// Whether it is in use, and the form that changes that, for those who may: a scenario made of an incident has no file that
/// could be taken away.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    is_retired: bool,
    hidden: Option<Hidden>,
}

impl Shelf {
    /// How it stands there; `may` is whether this person changes it.
    pub fn of(is_retired: bool, may: bool) -> Self {
        Self {
            is_retired,
            hidden: may.then(|| hidden(None)),
        }
    }
}

/// The form that begins a drill.
#[derive(Clone, Debug)]
pub struct LaunchForm {
    hidden: Hidden,
    depths: Vec<(&'static str, &'static str)>,
    /// Whether it is a game day, which this Muster does not play.
    is_not_played: bool,
    /// What is broken for real, and on which machine.
    breaks: Option<BreaksPart>,
    people: Vec<(OperatorId, Said)>,
    has_more_people: bool,
    /// The real incident in whose time nothing begins.
    in_the_way: Option<(String, i64, Said)>,
}

/// What a game day breaks where it is played.
#[derive(Clone, Debug)]
pub struct Breaks {
    /// The machine.
    pub host: String,
    /// The faults, in the order of the scenario.
    pub faults: Vec<Planned>,
}

/// The same as people read it before they begin.
#[derive(Clone, Debug)]
struct BreaksPart {
    host: Said,
    /// What is done, to which target.
    faults: Vec<(Said, Said)>,
}

impl BreaksPart {
    fn of(breaks: &Breaks) -> Self {
        let words = |planned: &Planned| match &planned.fault {
            Ok(fault) => {
                let most = length(planned.lasting.min(fault.stands_max));
                format!("{}: {}; for at most {most}", planned.cause, fault.harm.words())
            }
            Err(why) => format!("{}: would be refused: {why}", planned.cause),
        };
        Self {
            host: said(&breaks.host),
            faults: breaks
                .faults
                .iter()
                .map(|planned| (said(&planned.target_name), said(&words(planned))))
                .collect(),
        }
    }
}

impl LaunchForm {
    /// The form with these people to choose from, somebody else than who leads it.
    /// `depths` are those of the scenario; game days are only played where it is known what they break.
    pub fn of(
        people: &[Operator],
        me: OperatorId,
        real: Option<&(IncidentId, String)>,
        (depths, breaks): (&[Depth], Option<Breaks>),
    ) -> Self {
        let others: Vec<&Operator> = people.iter().filter(|person| person.id != me).collect();
        Self {
            hidden: hidden(None),
            depths: depths.iter().map(|depth| (depth.name(), offer(*depth))).collect(),
            is_not_played: depths.contains(&Depth::GameDay) && breaks.is_none(),
            breaks: breaks
                .filter(|_| depths.contains(&Depth::GameDay))
                .map(|breaks| BreaksPart::of(&breaks)),
            people: others
                .iter()
                .take(PLAYERS_MAX)
                .map(|person| (person.id, said(&person.name)))
                .collect(),
            has_more_people: others.len() > PLAYERS_MAX,
            in_the_way: real.map(|(id, title)| (key(id.0), id.0, said(title))),
        }
    }
}

impl ScenarioPage {
    /// The page.
    pub fn of(
        frame: Frame,
        version: &ScenarioVersion,
        drills: &[Drill],
        (form, shelf): (Option<LaunchForm>, Shelf),
        now: DateTime<Utc>,
    ) -> Self {
        let scenario = &version.scenario;
        let field = scenario.game_day.iter().flat_map(|day| &day.targets);
        let field = field.map(|(name, real)| (said(name), said(&format!("{real}, for real"))));
        Self {
            frame,
            slug: version.slug.clone(),
            number: version.number,
            title: said(&scenario.title),
            summary: said(&scenario.summary),
            gaps: scenario.gaps.iter().map(|gap| said(gap)).collect(),
            brief: Markdown::of(&scenario.brief),
            length: length(scenario.length),
            runbooks: scenario.runbooks.clone(),
            roles: scenario.roles.clone(),
            objectives: objectives(&scenario.objectives),
            injects: scenario
                .injects
                .iter()
                .map(|inject| (said(&inject.title), due(inject), happenings(inject)))
                .collect(),
            expected: expected(scenario),
            stops: scenario.stops.iter().map(|stop| said(&stop.because)).collect(),
            is_game_day: scenario.game_day.is_some(),
            touches: scenario
                .twins
                .iter()
                .map(|(name, twin)| (said(name), said(&format!("twin ({})", twin.target.kind().name()))))
                .chain(field)
                .collect(),
            drills: drills.iter().map(|drill| DrillRow::of(drill, now)).collect(),
            form,
            shelf,
        }
    }

    fn no_part(&self) -> &'static str {
        NO_PART
    }
}

/// What is judged, with how fast is good.
fn objectives(objectives: &Objectives) -> Vec<(&'static str, String)> {
    [
        ("Detect", objectives.detect),
        ("Acknowledge", objectives.acknowledge),
        ("First correct step", objectives.first_step),
        ("Longest wait at a gate", objectives.gate),
        ("Mitigate", objectives.mitigate),
        ("Tell the others at least every", objectives.update_every),
    ]
    .into_iter()
    .filter_map(|(name, span)| Some((name, length(span?))))
    .collect()
}

fn expected(scenario: &Scenario) -> Vec<Said> {
    let because = |because: &Option<String>| {
        because
            .as_deref()
            .map_or_else(String::new, |text| format!(": {text}"))
    };
    scenario
        .expected
        .iter()
        .map(|one| {
            let within = length(one.within);
            said(&format!(
                "{} within {within}{}",
                deed_words(&one.deed),
                because(&one.because)
            ))
        })
        .collect()
}

/// A depth in the form.
fn offer(depth: Depth) -> &'static str {
    match depth {
        Depth::Simulated => "Simulated: runs act on twins in a simulated world",
        Depth::Tabletop => "Tabletop: runs send nothing, people say what they would do",
        Depth::GameDay => {
            "Game day: real faults on targets of the drill environment, and runs that act on them"
        }
    }
}

/// When a surprise comes.
pub fn due(inject: &Inject) -> String {
    match (inject.after, &inject.when) {
        (Some(after), None) => format!("at {}", super::clock(after)),
        (Some(after), Some(when)) => format!("from {} on, when {}", super::clock(after), when.source()),
        (None, Some(when)) => format!("when {}", when.source()),
        (None, None) => "by hand".to_owned(),
    }
}

/// What a surprise does.
pub fn happenings(inject: &Inject) -> Vec<Said> {
    let words = |happening: &Happening| match happening {
        Happening::Set(assignments) => {
            let names: Vec<String> = assignments
                .iter()
                .map(|one| format!("{}.{}", one.service, one.variable))
                .collect();
            format!("the world changes: {}", names.join(", "))
        }
        Happening::Says { who, text } => format!("{who} says: {text}"),
        Happening::Alert { labels, lasting, .. } => {
            let name = labels.0.get("alertname").map_or("an alert", String::as_str);
            format!("{name} fires for {}", length(*lasting))
        }
        Happening::Fault {
            target,
            cause,
            lasting,
        } => {
            format!("for real: {cause} of {target}, for at most {}", length(*lasting))
        }
        Happening::Leaves { role } => format!("the {role} drops out"),
        Happening::Connector {
            target,
            fails,
            lasting,
        } => {
            format!("{target} fails ({}) for {}", fails.word(), length(*lasting))
        }
    };
    inject
        .then
        .iter()
        .map(|happening| said(&words(happening)))
        .collect()
}
