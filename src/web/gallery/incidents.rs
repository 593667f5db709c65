//! The list of incidents, and the pages around it.

use askama::Template;
use chrono::TimeDelta;

use super::{Specimen, frame, now, operator};
use crate::{
    domain::{
        id::{IncidentId, RunId},
        incident::{IncidentState, Severity},
        titles::Titles,
    },
    incident::by_hand::ByHand,
    store::{
        bulk_acts::{BulkAct, Failed},
        incident_list::{Counts, Facets, Glance, Line},
        runs::Awaiting,
        saved_views::View,
    },
    web::view::{
        bulk::{AssignPage, MergeManyPage, ResolvePage, Result, Ticked},
        incidents::{Around, Empty, List, ListPage, Needs, ROWS_MAX},
        layout::Place,
        new_incident::NewPage,
        parts::said,
        search::{Asked, Filters, SearchBox},
    },
};

/// The specimens of this room.
pub fn specimens() -> Vec<Specimen> {
    let list = |state, html| Specimen {
        page: "incidents",
        state,
        html,
    };
    let page = |page, state, html| Specimen { page, state, html };
    vec![
        list("full", || Show::new("state:open", some()).render()),
        list("long", || Show::new("state:all", long()).render()),
        list("ticked", || {
            let outcome = outcome();
            let ticked = [IncidentId(204), IncidentId(199)];
            let mut show = Show::new("state:open", some());
            show.around.ticked = &ticked;
            show.result = Some(&outcome);
            show.render()
        }),
        list("fault", || {
            Show::new("sevv:1 state:opne database", some()).render()
        }),
        list("never", || {
            Show::new("state:open", Vec::new()).empty(Empty::Never).render()
        }),
        list("empty", || {
            let lines = ["Last: INC-203, 6 h ago.", "Alerts received in 24 h: 41."];
            let empty = Empty::NoneOpen(lines.map(str::to_owned).to_vec());
            Show::new("state:open", Vec::new()).empty(empty).render()
        }),
        list("filtered", || {
            Show::new("sev:1 state:open service:basket", Vec::new())
                .empty(Empty::Filtered)
                .render()
        }),
        list("degraded", || {
            let mut show = Show::new("state:open", some());
            show.is_degraded = true;
            show.render()
        }),
        list("error", || {
            let mut show = Show::new("state:open", some());
            show.is_unread = true;
            show.render()
        }),
        page("new_incident", "full", || {
            new_page(&ByHand::default(), None, Vec::new())
        }),
        page("new_incident", "fault", || {
            let told = ByHand {
                service: "checkout".to_owned(),
                note: "Customers write that the basket is empty after paying.".to_owned(),
                ..ByHand::default()
            };
            let faults = [("severity", "Say how bad it is.".to_owned())];
            new_page(&told, None, told.faults().into_iter().chain(faults).collect())
        }),
        page("resolve_many", "full", || resolve_page(&some())),
        page("resolve_many", "empty", || {
            resolve_page(&[line(7, IncidentState::Closed)])
        }),
        page("assign_many", "full", || assign_page(&some())),
        page("assign_many", "long", || assign_page(&long()[..40])),
        page("merge_many", "full", || merge_page(&some())),
        page("merge_many", "empty", || merge_page(&some()[..1])),
    ]
}

/// What one list is made of.
struct Show<'a> {
    query: &'static str,
    lines: Vec<Line>,
    around: Around<'a>,
    result: Option<&'a BulkAct>,
    is_degraded: bool,
    is_unread: bool,
}

impl<'a> Show<'a> {
    fn new(query: &'static str, lines: Vec<Line>) -> Self {
        Self {
            query,
            around: Around {
                total: Some((lines.len().min(ROWS_MAX) as i64, lines.len() > ROWS_MAX)),
                may_act: true,
                ..Around::default()
            },
            lines,
            result: None,
            is_degraded: false,
            is_unread: false,
        }
    }

    fn empty(mut self, empty: Empty) -> Self {
        self.around.empty = Some(empty);
        self
    }

    fn render(self) -> askama::Result<String> {
        let asked = Asked::typed(self.query);
        let facets = facets();
        let list = List::of(&self.lines, &asked, &self.around, now());
        let page = ListPage {
            frame: frame("Incidents", Place::Incidents),
            drills: None,
            offer: None,
            away: None,
            needs: Needs::of(&[], &waiting(), &titles(), &operator(), now()),
            result: self.result.map(Result::of),
            search: SearchBox::of(&asked, &views()),
            filters: Filters::of(&asked, (!self.is_degraded).then_some(&facets)),
            list: (!self.is_unread).then_some(list),
            here: asked.address(),
            under: None,
            may_act: true,
        };
        page.render()
    }
}

fn line(id: i64, state: IncidentState) -> Line {
    let opened_at = now() - TimeDelta::minutes(4 * (205 - id).max(1));
    Line {
        id: IncidentId(id),
        title: "Checkout database does not answer".to_owned(),
        severity: Severity::ALL[(id % 4) as usize],
        state,
        source: "prom-eu".to_owned(),
        service: Some("checkout".to_owned()),
        opened_at,
        resolved_at: (!state.is_open()).then_some(opened_at + TimeDelta::minutes(11)),
        owner: (state != IncidentState::Triggered).then(|| "Ben".to_owned()),
        commander: None,
        firing: if state.is_open() { 1 } else { 0 },
        fresh: 0,
        stale: 0,
        run: None,
        pending: 0,
        below: 0,
        folded_under: None,
        last_seq: 12,
    }
}

fn some() -> Vec<Line> {
    let run = Glance {
        run: RunId(31),
        title: "Failover".to_owned(),
        version: 12,
        step: Some(4),
        steps: 9,
    };
    vec![
        Line {
            firing: 12,
            fresh: 3,
            pending: 1,
            run: Some(run),
            severity: Severity::Sev1,
            ..line(204, IncidentState::Acknowledged)
        },
        Line {
            title: "Payment latency above 2 s".to_owned(),
            service: Some("payments".to_owned()),
            commander: Some("Ana".to_owned()),
            ..line(203, IncidentState::Triggered)
        },
        Line {
            title: "Disk almost full on search-7".to_owned(),
            service: None,
            below: 41,
            stale: 1,
            ..line(201, IncidentState::Mitigated)
        },
        Line {
            title: "Certificate of www ends in 3 days".to_owned(),
            service: None,
            owner: None,
            ..line(199, IncidentState::Triggered)
        },
    ]
}

fn long() -> Vec<Line> {
    let title = "A title that somebody wrote with great care and nobody ever read to its end, because it names every host, \
                 every region and every customer: host-0001.eu-west-1.compute.internal.example.com, host-0002.eu-west-1";
    (0..=ROWS_MAX as i64)
        .map(|n| {
            let state = IncidentState::ALL[(n % 5) as usize];
            Line {
                title: if n % 3 == 0 {
                    title.to_owned()
                } else {
                    line(204 - n, state).title
                },
                service: Some("a-service-with-quite-a-long-name-indeed".to_owned()),
                ..line(204 - n, state)
            }
        })
        .collect()
}

fn waiting() -> Vec<Awaiting> {
    vec![Awaiting {
        drill: None,
        run: RunId(31),
        incident: IncidentId(204),
        incident_title: "Checkout database does not answer".to_owned(),
        step: "check-replica-by-hand".to_owned(),
        unknown: false,
        since: now() - TimeDelta::minutes(2),
    }]
}

fn titles() -> Titles {
    let mut titles = Titles::default();
    let title = "Look whether the replica has all orders".to_owned();
    titles.call(RunId(31), "check-replica-by-hand", title);
    titles
}

fn views() -> Vec<View> {
    let view = |id, name: &str, query: &str, mine: bool| View {
        id,
        name: name.to_owned(),
        query: query.to_owned(),
        shared: !mine,
        mine,
        by: "Ben".to_owned(),
        is_default: mine,
    };
    vec![
        view(1, "Nobody's", "state:open owner:nobody", true),
        view(2, "Checkout, worst", "state:open sev:1,2 service:checkout", false),
    ]
}

fn facets() -> Facets {
    let some = |counts: &[(&str, i64)]| counts.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
    Facets {
        base: Counts {
            all: 4,
            is_cut: false,
            states: some(&[("triggered", 2), ("acknowledged", 1), ("mitigated", 1)]),
            severities: some(&[("4", 2), ("1", 1), ("2", 1)]),
            services: some(&[("checkout", 1), ("payments", 1)]),
            owners: some(&[("nobody", 2), ("other", 2)]),
            ran: 1,
            waiting: 1,
        },
        other_states: Some(Counts {
            is_cut: true,
            states: some(&[("closed", 870), ("resolved", 131)]),
            ..Counts::default()
        }),
        ..Facets::default()
    }
}

fn outcome() -> BulkAct {
    let failed = |id, why: &str| Failed {
        incident: IncidentId(id),
        why: why.to_owned(),
    };
    BulkAct {
        act: "acknowledge".to_owned(),
        whom: String::new(),
        done: 12,
        failed: vec![
            failed(204, "The incident is acknowledged already."),
            failed(199, "The incident is resolved already."),
        ],
    }
}

fn new_page(
    told: &ByHand,
    severity: Option<Severity>,
    faults: Vec<(&'static str, String)>,
) -> askama::Result<String> {
    NewPage::of(
        frame("Report an incident", Place::Incidents),
        told,
        severity,
        faults,
    )
    .render()
}

fn ticked(lines: &[Line]) -> Ticked {
    Ticked::of(lines, ("state:open", None), "/incidents".to_owned(), now())
}

fn resolve_page(lines: &[Line]) -> askama::Result<String> {
    let frame = frame("Resolve many", Place::Incidents);
    let ticked = ticked(lines);
    ResolvePage { frame, ticked }.render()
}

fn assign_page(lines: &[Line]) -> askama::Result<String> {
    let people = [
        ("Ana", true),
        ("Ben", false),
        ("Chidi Anagonye-Featherstonehaugh", false),
    ];
    let people = (1..).zip(people);
    AssignPage {
        frame: frame("Assign many", Place::Incidents),
        ticked: ticked(lines),
        people: people
            .map(|(id, (name, is_me))| (id, said(name), is_me))
            .collect(),
    }
    .render()
}

fn merge_page(lines: &[Line]) -> askama::Result<String> {
    let frame = frame("Merge many", Place::Incidents);
    MergeManyPage::of(frame, ticked(lines), lines).render()
}
