//! The pages before one is signed in.

use askama::Template;

use super::{Specimen, now};
use crate::web::view::{
    layout::Frame,
    sign_in::{LoginPage, SetupPage},
};

/// The specimens of this room.
pub fn specimens() -> Vec<Specimen> {
    vec![
        Specimen {
            page: "sign_in",
            state: "full",
            html: || login(None).render(),
        },
        Specimen {
            page: "sign_in",
            state: "fault",
            html: || login(Some("The name or the password is wrong.")).render(),
        },
        Specimen {
            page: "set_up",
            state: "full",
            html: || set_up(vec![]).render(),
        },
        Specimen {
            page: "set_up",
            state: "fault",
            html: || set_up(vec![("code", "This code was used already.".to_owned())]).render(),
        },
    ]
}

fn login(fault: Option<&str>) -> LoginPage {
    LoginPage {
        frame: Frame::bare("Sign in", None, now()),
        next: "/incidents/204".to_owned(),
        recovery: "/login/recovery?next=/incidents/204".to_owned(),
        provider: Some((
            "/login/provider?next=/incidents/204".to_owned(),
            "Example".to_owned(),
        )),
        has_passkeys: true,
        name: fault.map_or_else(String::new, |_| "ana".to_owned()),
        fault: fault.map(str::to_owned),
    }
}

fn set_up(faults: Vec<(&'static str, String)>) -> SetupPage {
    SetupPage {
        frame: Frame::bare("Set up", None, now()),
        code: String::new(),
        name: "ana".to_owned(),
        faults,
    }
}
