//! The route table. A route is added with its handler, and only a handler whose signature states what its caller needs
//! can be added, so that the table knows the rule of every route without anybody writing it a second time.

use axum::{
    Router,
    handler::Handler,
    http::Method,
    routing::{MethodRouter, get, post},
};
use serde_json::json;
use utoipa::openapi::{
    self, ContentBuilder, Ref, RefOr, ResponseBuilder,
    path::{Operation, ParameterBuilder, ParameterIn},
    security::SecurityRequirement,
};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::{
    caller::{Guarded, Need},
    state::AppState,
};

/// One route.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its method.
    pub method: Method,
    /// Its address, with `{names}` for what varies.
    pub path: String,
    /// What its caller needs.
    pub need: Need,
}

/// Routes of pages.
#[derive(Default)]
pub struct Routes {
    router: Router<AppState>,
    table: Vec<Route>,
}

impl Routes {
    /// A page, or whatever else changes nothing.
    pub fn get<H, T>(self, path: &str, handler: H) -> Self
    where
        H: Handler<T, AppState>,
        T: Guarded + 'static,
    {
        self.with(Method::GET, path, get(handler), T::NEED)
    }

    /// A form.
    pub fn post<H, T>(self, path: &str, handler: H) -> Self
    where
        H: Handler<T, AppState>,
        T: Guarded + 'static,
    {
        self.with(Method::POST, path, post(handler), T::NEED)
    }

    fn with(mut self, method: Method, path: &str, handler: MethodRouter<AppState>, need: Need) -> Self {
        self.router = self.router.route(path, handler);
        self.table.push(Route {
            method,
            path: path.to_owned(),
            need,
        });
        self
    }

    /// The routes, and what they need.
    pub fn into_parts(self) -> (Router<AppState>, Vec<Route>) {
        (self.router, self.table)
    }
}

/// Routes of the JSON interface, each described by its own document.
pub struct Documented {
    router: OpenApiRouter<AppState>,
    table: Vec<Route>,
}

/// What a handler states.
pub fn need_of<H, T>(_: &H) -> Need
where
    H: Handler<T, AppState>,
    T: Guarded + 'static,
{
    T::NEED
}

/// One handler of the JSON interface with its description and its need, for [`Documented::with`].
macro_rules! described {
    ($handler:path) => {
        (
            utoipa_axum::routes!($handler),
            $crate::web::routes::need_of(&$handler),
        )
    };
}
pub(super) use described;

impl Documented {
    /// Routes below this document.
    pub fn new(document: openapi::OpenApi) -> Self {
        Self {
            router: OpenApiRouter::with_openapi(document),
            table: Vec::new(),
        }
    }

    /// Adds one, made by `described!`.
    pub fn with(mut self, (mut described, need): (UtoipaMethodRouter<AppState>, Need)) -> Self {
        for (path, item) in &mut described.1.paths {
            for (method, operation) in operations(item) {
                complete(operation, need);
                self.table.push(Route {
                    method,
                    path: path.clone(),
                    need,
                });
            }
        }
        self.router = self.router.routes(described);
        self
    }

    /// The routes, their document, and what they need.
    pub fn into_parts(self) -> (Router<AppState>, openapi::OpenApi, Vec<Route>) {
        let (router, document) = self.router.split_for_parts();
        (router, document, self.table)
    }
}

/// Examples of what varies in addresses.
const EXAMPLES: [(&str, &str); 5] = [
    ("source", "prometheus"),
    ("slug", "web-service-down"),
    ("target", "lb"),
    ("name", "storage"),
    ("step", "ask"),
];

/// Adds what the layers around every handler do, where the handler's own description is silent: the permission it needs,
/// the answers they can give, examples of what varies.
pub(super) fn complete(operation: &mut Operation, need: Need) {
    if let Need::Permission(permission) = need {
        let words = format!("Needs the permission `{permission}`.");
        let text = operation.description.take();
        operation.description = Some(text.map_or(words.clone(), |text| format!("{text}\n\n{words}")));
        if !permission.fits_a_token() {
            let session = SecurityRequirement::new("session", Vec::<String>::new());
            operation.security = Some(vec![session]);
        }
    }
    let (mut in_path, mut in_query) = (false, false);
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            in_query |= parameter.parameter_in == ParameterIn::Query;
            if parameter.parameter_in == ParameterIn::Path {
                in_path = true;
                let example = EXAMPLES.iter().find(|(name, _)| *name == parameter.name);
                let example = example.map_or_else(|| json!(1), |(_, example)| json!(example));
                *parameter = ParameterBuilder::from(parameter.clone())
                    .example(Some(example))
                    .build();
            }
        }
    }
    let has_body = operation.request_body.is_some();
    let is_guarded = matches!(need, Need::Permission(_));
    for (status, words, is_possible) in [
        (
            "400",
            "The request cannot be read, or shows a session and a token at once; the message says which",
            has_body || in_query || is_guarded,
        ),
        ("401", "Not signed in, and no good token shown", is_guarded),
        (
            "403",
            "You may not; the message says who can change that",
            is_guarded,
        ),
        ("404", "There is no such thing", in_path),
        ("413", "The body is too large", has_body),
        (
            "422",
            "A rule does not allow it; the message names it and the way out",
            has_body,
        ),
        (
            "503",
            "The database does not answer; nothing was changed as far as Muster knows",
            is_guarded,
        ),
    ] {
        if is_possible && !operation.responses.responses.contains_key(status) {
            let answer = ContentBuilder::new()
                .schema(Some(Ref::from_schema_name("ErrorAnswer")))
                .build();
            let response = ResponseBuilder::new()
                .description(words)
                .content("application/json", answer)
                .build();
            operation
                .responses
                .responses
                .insert(status.to_owned(), response.into());
        }
    }
}

/// The operations of an address, by method.
fn operations(item: &mut openapi::PathItem) -> Vec<(Method, &mut Operation)> {
    let all = [
        (Method::GET, &mut item.get),
        (Method::PUT, &mut item.put),
        (Method::POST, &mut item.post),
        (Method::DELETE, &mut item.delete),
        (Method::PATCH, &mut item.patch),
    ];
    all.into_iter()
        .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
        .collect()
}
