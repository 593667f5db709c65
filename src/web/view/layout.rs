//! The frame around every page: title, navigation, who is signed in, what waits, what is wrong.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::{
    banner::BannerPart,
    parts::{At, Icon, at, icon},
    standing::PausedPart,
};
use crate::{
    domain::{
        access,
        id::DrillId,
        operator::{Operator, Role},
        permission::Permission,
        preferences::{Clocks, Keys, Preferences, TextSize, Theme},
    },
    web::{assets, favicon},
};

/// Where in the navigation a page stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The list and the pages of incidents.
    Incidents,
    /// The inbox and the pages of approvals.
    Approvals,
    /// The library.
    Runbooks,
    /// Drills and their scenarios.
    Drills,
    /// What senders sent.
    Deliveries,
    /// Who may send, and how they do.
    Sources,
    /// What is decided about new alerts.
    Routing,
    /// Who is here and what they may do.
    People,
    /// Who decided what.
    Audit,
    /// What runbooks act on.
    Targets,
    /// What is set.
    Settings,
    /// How Muster itself is.
    System,
    /// One's own account.
    Account,
    /// What words and keys mean.
    Help,
    /// None of them.
    Elsewhere,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Self::Incidents => "incidents",
            Self::Approvals => "approvals",
            Self::Runbooks => "runbooks",
            Self::Drills => "drills",
            Self::Deliveries => "deliveries",
            Self::Sources => "sources",
            Self::Routing => "routing",
            Self::People => "people",
            Self::Audit => "audit",
            Self::Targets => "targets",
            Self::Settings => "settings",
            Self::System => "system",
            Self::Account => "account",
            Self::Help => "help",
            Self::Elsewhere => "",
        }
    }
}

/// What was chosen, as attributes; what comes by itself is left out.
#[derive(Clone, Copy, Debug, Template)]
#[template(
    ext = "html",
    source = r#"{% if self.0.theme != Theme::System %} data-theme="{{ self.0.theme.name() }}"{% endif %}{% if self.0.text != TextSize::Usual %} data-text="{{ self.0.text.name() }}"{% endif %}{% if self.0.keys != Keys::On %} data-keys="{{ self.0.keys.name() }}"{% endif %}{% if self.0.clocks != Clocks::Utc %} data-clocks="{{ self.0.clocks.name() }}"{% endif %}"#
)]
pub struct LookPart(Preferences);

impl HtmlSafe for LookPart {}

/// The frame of one page.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Title of the page, without the name of the program.
    pub title: String,
    /// Where it stands.
    pub place: Place,
    /// Who is signed in.
    pub operator: Option<Operator>,
    /// Decisions that wait for this person.
    pub waiting: usize,
    /// That all automation is paused.
    pub paused: Option<PausedPart>,
    /// What is wrong with Muster.
    pub faults: Option<BannerPart>,
    /// How its person wants it.
    pub look: Preferences,
    /// The drill it is about, which every page of it says.
    pub drill: Option<DrillId>,
    /// When the page was made.
    pub made: At,
    /// Address of the stream that keeps it up to date.
    pub live: Option<String>,
    /// After how many seconds a browser without script asks for it anew by itself; never for a page that somebody may type
    /// in.
    pub refresh_s: Option<u32>,
}

impl Frame {
    /// A frame that knows nothing but its title: sign-in and errors.
    pub fn bare(title: impl Into<String>, operator: Option<&Operator>, now: DateTime<Utc>) -> Self {
        Self {
            title: title.into(),
            place: Place::Elsewhere,
            operator: operator.cloned(),
            waiting: 0,
            paused: None,
            faults: None,
            look: Preferences::default(),
            drill: None,
            made: at(now, now),
            live: None,
            refresh_s: None,
        }
    }

    /// The same as somebody wants it.
    pub fn looking(mut self, look: Preferences) -> Self {
        self.look = look;
        self
    }

    /// The same, about a drill if there is one.
    pub fn of_drill(mut self, drill: Option<DrillId>) -> Self {
        self.drill = drill;
        self
    }

    /// What `<html>` says of it.
    pub fn look_part(&self) -> LookPart {
        LookPart(self.look)
    }

    /// The colour schemes that the page can be shown in, for the moment before its style sheet is there.
    pub fn schemes(&self) -> &'static str {
        match self.look.theme {
            Theme::System => "light dark",
            Theme::Light => "light",
            Theme::Dark | Theme::Night => "dark",
        }
    }

    /// The same kept up to date from that address.
    pub fn live(mut self, address: String) -> Self {
        self.live = Some(address);
        self
    }

    /// `aria-current` of a link of the navigation.
    pub fn current(&self, place: &str) -> &'static str {
        if self.place.name() == place {
            "page"
        } else {
            "false"
        }
    }

    /// Whether the person may act at all.
    pub fn may_act(&self) -> bool {
        self.operator
            .as_ref()
            .is_some_and(|operator| operator.role >= Role::Responder)
    }

    /// Whether the person manages others.
    pub fn keeps_people(&self) -> bool {
        self.operator
            .as_ref()
            .is_some_and(|operator| access::may(operator, Permission::People).is_ok())
    }

    /// Whether the person may read who decided what.
    pub fn may_audit(&self) -> bool {
        self.operator
            .as_ref()
            .is_some_and(|operator| access::may(operator, Permission::Audit).is_ok())
    }

    /// Address of the style sheet.
    pub fn css(&self) -> &'static str {
        assets::address("muster.css")
    }

    /// Address of the script.
    pub fn js(&self) -> &'static str {
        assets::address("muster.js")
    }

    /// Address of the script for passkeys.
    pub fn passkey_js(&self) -> &'static str {
        assets::address("passkey.js")
    }

    /// Address of the icon of the browser's tab.
    pub fn favicon(&self) -> &'static str {
        favicon::address(self.waiting, self.faults.is_some())
    }

    /// An icon for the navigation.
    pub fn icon(&self, name: &'static str) -> Icon {
        icon(name)
    }
}
