//! What is set, and the way to everything that can be changed in a page.

use askama::Template;

use super::{
    layout::Frame,
    parts::{Said, said},
};
use crate::domain::setting::{Origin, Setting};

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "settings/show.html")]
pub struct SettingsPage {
    frame: Frame,
    rooms: Vec<(&'static str, &'static str, &'static str)>,
    /// `None` for whoever may not see them.
    groups: Option<Vec<Group>>,
    /// How many somebody has set.
    changed: usize,
}

#[derive(Clone, Debug)]
struct Group {
    name: String,
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    flag: String,
    variable: Said,
    effect: String,
    value: Option<Said>,
    default: Option<Said>,
    origin: &'static str,
    is_set: bool,
}

impl Row {
    fn of(setting: &Setting) -> Self {
        let text = |text: &Option<String>| text.as_deref().map(said);
        Self {
            flag: setting.flag.clone(),
            variable: said(setting.variable.as_deref().unwrap_or("")),
            effect: setting.effect.clone(),
            value: text(&setting.value),
            default: text(&setting.default),
            origin: match setting.origin {
                Origin::Default => "default",
                Origin::Environment => "environment",
                Origin::CommandLine => "command line",
            },
            is_set: setting.origin != Origin::Default,
        }
    }
}

impl SettingsPage {
    /// The page; `settings` in the order in which they are described.
    pub fn of(frame: Frame, settings: Option<&[Setting]>) -> Self {
        let mut rooms = vec![
            ("/sources", "Sources", "who may send alerts, and how"),
            (
                "/settings/targets",
                "Targets",
                "what runbooks act on, and whether it answers",
            ),
            (
                "/routing",
                "Routing",
                "maintenance, thresholds and severities of new alerts",
            ),
        ];
        if frame.keeps_people() {
            rooms.push(("/settings/people", "People", "roles, teams, invitations"));
        }
        rooms.push(("/settings/access", "Access", "may this person do that, and why"));
        if frame.may_audit() {
            rooms.push(("/audit", "Audit", "who decided what"));
        }
        rooms.push(("/me", "Your account", "ways in, sessions, colours, keys, tokens"));
        if frame.keeps_people() {
            rooms.push(("/setup/checks", "First steps", "is this installation ready?"));
        }
        let groups = settings.map(|settings| {
            let mut groups: Vec<Group> = Vec::new();
            for setting in settings {
                let row = Row::of(setting);
                match groups.iter_mut().find(|group| group.name == setting.group) {
                    Some(group) => group.rows.push(row),
                    None => groups.push(Group {
                        name: setting.group.clone(),
                        rows: vec![row],
                    }),
                }
            }
            groups
        });
        let is_set = |setting: &&Setting| setting.origin != Origin::Default;
        Self {
            frame,
            rooms,
            groups,
            changed: settings.unwrap_or_default().iter().filter(is_set).count(),
        }
    }
}
