//! The frame around every page: title, navigation, who is signed in, what waits, what is wrong.

use chrono::{DateTime, Utc};

use super::{
    parts::{At, Icon, at, icon},
    standing::PausedPart,
};
use crate::{
    domain::{
        access,
        operator::{Operator, Role},
        permission::Permission,
    },
    web::assets,
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
    /// How Muster itself is.
    System,
    /// None of them.
    Elsewhere,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Self::Incidents => "incidents",
            Self::Approvals => "approvals",
            Self::Runbooks => "runbooks",
            Self::Deliveries => "deliveries",
            Self::Sources => "sources",
            Self::Routing => "routing",
            Self::People => "people",
            Self::Audit => "audit",
            Self::System => "system",
            Self::Elsewhere => "",
        }
    }
}

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
    /// What is wrong with Muster, one line each.
    pub faults: Vec<String>,
    /// Where the record of who decided what does not hold.
    pub broken: Option<String>,
    /// When the page was made.
    pub made: At,
    /// Address of the stream that keeps it up to date.
    pub live: Option<String>,
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
            faults: Vec::new(),
            broken: None,
            made: at(now, now),
            live: None,
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

    /// Addresses of the modules that the script imports, so that the browser fetches them all at once.
    pub fn modules(&self) -> [&'static str; assets::MODULES.len()] {
        assets::MODULES.map(|name| assets::address(&format!("{name}.js")))
    }

    /// Address of the script for passkeys.
    pub fn passkey_js(&self) -> &'static str {
        assets::address("passkey.js")
    }

    /// Address of the icon of the browser's tab.
    pub fn favicon(&self) -> &'static str {
        assets::address("favicon.svg")
    }

    /// An icon for the navigation.
    pub fn icon(&self, name: &'static str) -> Icon {
        icon(name)
    }
}
