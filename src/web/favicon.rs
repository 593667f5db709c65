//! The icon of the browser's tab: how many decisions wait for this person, `!` while something is wrong with Muster, `?` on
//! a page that is no longer kept up to date. `static/script/icon.js` changes it on an open page.

use super::assets;

/// What the icons say that differ from the plain one, by the name in their address.
const STATES: [(&str, &str); 12] = [
    ("1", "1"),
    ("2", "2"),
    ("3", "3"),
    ("4", "4"),
    ("5", "5"),
    ("6", "6"),
    ("7", "7"),
    ("8", "8"),
    ("9", "9"),
    ("many", "9+"),
    ("fault", "!"),
    ("stale", "?"),
];
/// Their addresses, in that order.
const ADDRESSES: [&str; 12] = [
    "/static/favicon-1.svg",
    "/static/favicon-2.svg",
    "/static/favicon-3.svg",
    "/static/favicon-4.svg",
    "/static/favicon-5.svg",
    "/static/favicon-6.svg",
    "/static/favicon-7.svg",
    "/static/favicon-8.svg",
    "/static/favicon-9.svg",
    "/static/favicon-many.svg",
    "/static/favicon-fault.svg",
    "/static/favicon-stale.svg",
];
/// Where the number above nine stands among them.
const MANY: usize = 9;
/// Where the fault stands among them.
const FAULT: usize = 10;

/// The icon for a page on which so many decisions wait. A decision is named before a fault: it needs this person.
pub fn address(waiting: usize, has_fault: bool) -> &'static str {
    match (waiting, has_fault) {
        (0, false) => assets::address("favicon.svg"),
        (0, true) => ADDRESSES[FAULT],
        (n, _) => ADDRESSES[(n - 1).min(MANY)],
    }
}

/// The file of that name, when it is one of these icons.
pub fn content(name: &str) -> Option<Vec<u8>> {
    let state = name.strip_prefix("favicon-")?.strip_suffix(".svg")?;
    let (_, sign) = STATES.iter().find(|(known, _)| *known == state)?;
    let ground = match state {
        "fault" => "#8f3d00",
        "stale" => "#4b535f",
        _ => "#6a2aa8",
    };
    Some(
        format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="{ground}"/><text x="8" y="12.5" text-anchor="middle" font-family="system-ui,sans-serif" font-size="12" font-weight="700" fill="#fff">{sign}</text></svg>"##
        )
        .into_bytes(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_icon() {
        for (at, (state, sign)) in STATES.iter().enumerate() {
            assert_eq!(ADDRESSES[at], format!("/static/favicon-{state}.svg"));
            let icon = content(&format!("favicon-{state}.svg")).unwrap();
            assert!(String::from_utf8(icon).unwrap().contains(&format!(">{sign}<")));
        }
        assert_eq!(content("favicon-../x.svg"), None);
        assert_eq!(address(0, true), "/static/favicon-fault.svg");
        assert_eq!(address(3, true), "/static/favicon-3.svg");
        assert_eq!(address(250, false), "/static/favicon-many.svg");
        assert_eq!(address(0, false), assets::address("favicon.svg"));
    }
}
