//! The search box of the list of incidents, its filters and the views that people keep.

use askama::{Template, filters::HtmlSafe};

use super::{
    format,
    parts::{Hidden, Said, hidden, said},
    text,
};
use crate::{
    domain::{
        id::IncidentId,
        incident::{IncidentState, Severity},
        search::{self, Fault, OPEN, Owner, QUERY_CHARS_MAX, Search, Term, Trait, What},
    },
    store::{
        incident_list::{COUNTED_MAX, Counts, Facets},
        saved_views::View,
    },
};

/// Services that are offered as filters.
const SERVICES_MAX: usize = 8;

/// What the list is asked for.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// As it was typed.
    pub text: String,
    /// As far as it could be read.
    pub search: Search,
    /// What could not be read.
    pub faults: Vec<Fault>,
    /// Only those that this one stands for.
    pub under: Option<IncidentId>,
    /// Only those older than this one.
    pub before: Option<i64>,
}

impl Asked {
    /// A query as somebody typed it. Where no term of it can be read, what is open is shown: nothing would look as if all
    /// were well, and everything is too much.
    pub fn typed(text: &str) -> Self {
        let (mut search, faults) = search::read(text);
        if search.terms.is_empty() && !faults.is_empty() {
            search = Search::open();
        }
        Self {
            text: text.trim_end().to_owned(),
            search,
            faults,
            under: None,
            before: None,
        }
    }

    /// The people and sources that are named, each with its term.
    pub fn named(&self) -> Vec<(Term, String)> {
        let mut named = Vec::new();
        for term in &self.search.terms {
            let names: Vec<&String> = match &term.what {
                What::Source(names) => names.iter().collect(),
                What::Owner(owners) => owners
                    .iter()
                    .filter_map(|owner| match owner {
                        Owner::Named(name) => Some(name),
                        Owner::Me | Owner::Nobody => None,
                    })
                    .collect(),
                _ => Vec::new(),
            };
            named.extend(names.into_iter().map(|name| (term.clone(), name.clone())));
        }
        named
    }

    /// Says of a term that what it names is not known, and which name is near.
    pub fn unknown(&mut self, term: &Term, name: &str, missing: &str, near: Option<&str>) {
        let typed: String = self.text.chars().skip(term.column.saturating_sub(1)).collect();
        let typed = typed.split_whitespace().next().unwrap_or_default();
        // Only what was typed without quotes can be written anew inside the query.
        let near = near.filter(|_| typed.contains(name));
        self.faults.push(Fault {
            column: term.column,
            term: typed.to_owned(),
            message: format!("{missing} \"{name}\""),
            instead: near.map(|near| typed.replacen(name, near, 1)),
        });
    }

    /// Where this is shown, from its newest incident on.
    pub fn address(&self) -> String {
        self.address_before(None)
    }

    /// Where this is shown, from the one before that incident on.
    pub fn address_before(&self, before: Option<i64>) -> String {
        let is_open = self.search == Search::open();
        let query = match (self.under, is_open, self.text.is_empty()) {
            (Some(_), true, _) => "",
            (_, _, true) => "state:all",
            _ => self.text.as_str(),
        };
        let under = self.under.map_or_else(String::new, |id| id.to_string());
        let before = before.map_or_else(String::new, |id| id.to_string());
        text::with_query(
            "/incidents",
            &[("q", query), ("under", &under), ("before", &before)],
        )
    }

    /// Whether what is open is listed and nothing else.
    pub fn is_open_only(&self) -> bool {
        let is_open = |states: Vec<IncidentState>| states.iter().all(|state| state.is_open());
        self.search.is_plain() && self.search.filter().states.is_some_and(is_open)
    }
}

/// Where a search is shown.
pub fn address(search: &Search) -> String {
    Asked {
        text: search.to_string(),
        search: search.clone(),
        ..Asked::default()
    }
    .address()
}

/// The box, what could not be read of it, and the views above it.
#[derive(Clone, Debug, Template)]
#[template(path = "incidents/_search.html")]
pub struct SearchBox {
    text: String,
    faults: Vec<FaultLine>,
    /// Whether any term could be read.
    is_read: bool,
    views: Vec<ViewLink>,
    mine: Vec<OwnView>,
    has_default: bool,
    op: Hidden,
}

impl HtmlSafe for SearchBox {}

/// A term that could not be read.
#[derive(Clone, Debug)]
struct FaultLine {
    column: usize,
    term: Said,
    message: Said,
    /// The query with what was probably meant: the term and where it leads.
    instead: Option<(Said, String)>,
}

/// A view above the list.
#[derive(Clone, Debug)]
struct ViewLink {
    name: Said,
    /// Whose it is, when it is somebody else's.
    by: Option<Said>,
    href: String,
    is_shown: bool,
}

/// A view with what can be done with it.
#[derive(Clone, Debug)]
struct OwnView {
    id: i64,
    name: Said,
    query: Said,
    mine: bool,
    shared: bool,
    is_default: bool,
}

impl SearchBox {
    /// The box as somebody sees it.
    pub fn of(asked: &Asked, views: &[View]) -> Self {
        let open = Search::open();
        let all = What::State(IncidentState::ALL.to_vec());
        let all = Search {
            terms: vec![all.into()],
        };
        let link = |name: &str, by: Option<&str>, search: &Search| ViewLink {
            name: said(name),
            by: by.map(said),
            href: address(search),
            is_shown: asked.under.is_none() && search.to_string() == asked.search.to_string(),
        };
        let mut links = vec![link("Open", None, &open), link("All", None, &all)];
        links.extend(views.iter().map(|view| {
            let by = (!view.mine).then_some(view.by.as_str());
            let shown = Asked::typed(&view.query);
            ViewLink {
                href: shown.address(),
                ..link(&view.name, by, &shown.search)
            }
        }));
        Self {
            text: asked.text.clone(),
            is_read: !search::read(&asked.text).0.terms.is_empty(),
            faults: asked
                .faults
                .iter()
                .map(|fault| FaultLine::of(fault, &asked.text))
                .collect(),
            views: links,
            mine: views
                .iter()
                .map(|view| OwnView {
                    id: view.id,
                    name: said(&view.name),
                    query: said(&view.query),
                    mine: view.mine,
                    shared: view.shared,
                    is_default: view.is_default,
                })
                .collect(),
            has_default: views.iter().any(|view| view.is_default),
            op: hidden(None),
        }
    }

    fn chars_max(&self) -> usize {
        QUERY_CHARS_MAX
    }
}

impl FaultLine {
    fn of(fault: &Fault, query: &str) -> Self {
        Self {
            column: fault.column,
            term: said(&fault.term),
            message: said(&fault.message),
            instead: fault.instead.as_deref().and_then(|instead| {
                let mended = fault.mended(query)?;
                Some((said(instead), Asked::typed(&mended).address()))
            }),
        }
    }
}

/// The filters, each a link with how many incidents it leads to.
#[derive(Clone, Debug, Template)]
#[template(path = "incidents/_filters.html")]
pub struct Filters {
    groups: Vec<Group>,
    /// `41 incidents`, unless they could not be counted in time.
    total: Option<String>,
    /// Where no filter is on, when one is.
    clear: Option<String>,
}

impl HtmlSafe for Filters {}

/// The filters of one kind.
#[derive(Clone, Debug)]
struct Group {
    id: &'static str,
    name: &'static str,
    /// What of it is chosen.
    chosen: String,
    choices: Vec<Choice>,
}

/// One filter.
#[derive(Clone, Debug)]
struct Choice {
    word: Said,
    count: Option<String>,
    href: String,
    is_on: bool,
}

/// A count as it is said: `12`, `12+` where not all were looked at, `1,000+`.
pub fn counted(n: i64, is_cut: bool) -> String {
    let plus = if is_cut || n > COUNTED_MAX { "+" } else { "" };
    format!("{}{plus}", format::grouped(n.min(COUNTED_MAX)))
}

impl Filters {
    /// The filters around what is asked; without counts when they took too long.
    pub fn of(asked: &Asked, facets: Option<&Facets>) -> Self {
        let search = &asked.search;
        let filter = search.filter();
        let count = |of: fn(&Counts) -> &Vec<(String, i64)>,
                     other: Option<&Option<Counts>>,
                     value: &str,
                     is_in: bool| {
            let facets = facets?;
            let counts = match other {
                Some(Some(other)) if !is_in => other,
                _ => &facets.base,
            };
            let found = of(counts).iter().find(|(name, _)| name == value);
            Some((found.map_or(0, |(_, n)| *n), counts.is_cut))
        };
        let choice = |word: &str, what: What, n: Option<(i64, bool)>| Choice {
            word: said(word),
            count: n.map(|(n, is_cut)| counted(n, is_cut)),
            is_on: search.has(&what),
            href: address(&search.toggled(what)),
        };
        let in_state = |state: IncidentState| {
            let is_in = filter.states.as_ref().is_none_or(|some| some.contains(&state));
            let other = facets.map(|facets| &facets.other_states);
            count(|counts| &counts.states, other, state.name(), is_in)
        };
        let open: Option<Vec<(i64, bool)>> = OPEN.into_iter().map(in_state).collect();
        let open = open.map(|some| {
            let n = some.iter().map(|(n, _)| n).sum();
            (n, some.iter().any(|(_, is_cut)| *is_cut))
        });
        let mut states = vec![choice("Open", What::State(OPEN.to_vec()), open)];
        states.extend(
            [
                (IncidentState::Triggered, "Triggered"),
                (IncidentState::Acknowledged, "Acknowledged"),
                (IncidentState::Mitigated, "Mitigated"),
                (IncidentState::Resolved, "Resolved"),
                (IncidentState::Closed, "Closed"),
            ]
            .map(|(state, word)| choice(word, What::State(vec![state]), in_state(state))),
        );
        let severities = Severity::ALL.map(|severity| {
            let is_in = filter
                .severities
                .as_ref()
                .is_none_or(|some| some.contains(&severity));
            let other = facets.map(|facets| &facets.other_severities);
            let n = count(
                |counts| &counts.severities,
                other,
                &severity.number().to_string(),
                is_in,
            );
            choice(&severity.to_string(), What::Severity(vec![severity]), n)
        });
        let owners = [("Mine", "me", Owner::Me), ("Nobody's", "nobody", Owner::Nobody)];
        let owners = owners.map(|(word, value, owner)| {
            let other = facets.map(|facets| &facets.any_owner);
            choice(
                word,
                What::Owner(vec![owner]),
                count(|counts| &counts.owners, other, value, false),
            )
        });
        let services = facets.map_or_else(Vec::new, |facets| {
            let counts = facets.any_service.as_ref().unwrap_or(&facets.base);
            let some = counts.services.iter().take(SERVICES_MAX);
            some.map(|(name, n)| choice(name, What::Service(vec![name.clone()]), Some((*n, counts.is_cut))))
                .collect()
        });
        let base = |n: fn(&Counts) -> i64| facets.map(|facets| (n(&facets.base), facets.base.is_cut));
        let runs = vec![
            choice("A runbook ran", What::Is(Trait::Ran), base(|counts| counts.ran)),
            choice(
                "A decision waits",
                What::Is(Trait::Waiting),
                base(|counts| counts.waiting),
            ),
        ];
        let groups = [
            ("state", "State", states),
            ("severity", "Severity", severities.to_vec()),
            ("owner", "Owner", owners.to_vec()),
            ("service", "Service", services),
            ("runs", "Runs", runs),
        ];
        Self {
            groups: groups
                .into_iter()
                .filter(|(_, _, choices)| !choices.is_empty())
                .map(|(id, name, choices)| Group {
                    id,
                    name,
                    chosen: chosen(search, id),
                    choices,
                })
                .collect(),
            total: facets.map(|facets| {
                let counts = &facets.base;
                let noun = if counts.all == 1 { "incident" } else { "incidents" };
                format!("{} {noun}", counted(counts.all, counts.is_cut))
            }),
            clear: (*search != Search::open() || asked.under.is_some()).then(|| address(&Search::open())),
        }
    }
}

/// What of a group is asked, in the words of the query without its key.
fn chosen(search: &Search, group: &str) -> String {
    let of_group = |what: &What| match what {
        What::State(_) => group == "state",
        What::Severity(_) => group == "severity",
        What::Owner(_) => group == "owner",
        What::Service(_) => group == "service",
        What::Is(what) => group == "runs" && matches!(what, Trait::Ran | Trait::Running | Trait::Waiting),
        _ => false,
    };
    let some: Vec<String> = search
        .terms
        .iter()
        .filter(|term| of_group(&term.what))
        .map(|term| {
            let typed = term.what.to_string();
            let value = typed.split_once(':').map_or(typed.as_str(), |(_, value)| value);
            format!("{}{value}", if term.not { "not " } else { "" })
        })
        .collect();
    match some[..] {
        [] => "any".to_owned(),
        _ => text::visible(&text::cut(&some.join(", "), 40)),
    }
}
