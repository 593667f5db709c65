//! The real pages over a database, with a clock that only moves when it is told to and nobody at work behind them.

use std::net::{IpAddr, SocketAddr};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::ConnectInfo,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use muster::{
    clock::Clock,
    domain::{
        operator::{Operator, Role},
        sign_in::{Arrival, Way},
    },
    identity::password::Passwords,
    store::{operators, wake::Wake},
    web::{self, session, state::AppState, throttle::Throttle},
};
use serde_json::Value;
use sqlx::PgConnection;
use tower::ServiceExt;

use super::intake::Intake;

pub const PASSWORD: &str = "correct horse battery";

/// The pages, and an intake that fills them.
pub struct Site {
    pub intake: Intake,
    pub state: AppState,
    router: Router,
}

/// What came back.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// The cookie that the answer sets, as the next request sends it; empty when it sets none.
    pub fn cookie(&self) -> String {
        let set = self.header("set-cookie");
        set.split(';').next().unwrap_or_default().to_owned()
    }

    /// The value of a hidden field of the first form that has it.
    pub fn field(&self, name: &str) -> String {
        let mark = format!("name=\"{name}\" value=\"");
        let start = self.text.find(&mark).unwrap_or_else(|| panic!("no field {name}")) + mark.len();
        self.text[start..].split('"').next().unwrap().to_owned()
    }
}

impl Site {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With something of its state changed before the pages are built.
    pub async fn with(change: impl FnOnce(&mut AppState)) -> Self {
        let intake = Intake::new().await;
        intake.source("prom", None).await;
        let mut state = AppState::new(
            intake.database.pools.web.clone(),
            intake.clock.clone(),
            Wake::default(),
        );
        state.receiver = Some(intake.receiver.clone());
        change(&mut state);
        let router = web::router(state.clone());
        Self {
            intake,
            state,
            router,
        }
    }

    pub fn clock(&self) -> &Clock {
        &self.intake.clock
    }

    pub async fn conn(&self) -> sqlx::pool::PoolConnection<sqlx::Postgres> {
        self.intake.database.pools.background.acquire().await.unwrap()
    }

    /// Adds a person and signs them in; returns their cookie.
    pub async fn person(&self, name: &str, role: Role) -> (Operator, String) {
        let mut conn = self.conn().await;
        let conn: &mut PgConnection = &mut conn;
        let now = self.clock().now();
        let hash = Passwords::default().hash(PASSWORD.to_owned()).await.unwrap();
        let id = operators::insert(conn, name, &hash, role, now)
            .await
            .unwrap()
            .unwrap();
        let cookie = session::begin(
            conn,
            id,
            &Way::Password,
            &Arrival::default(),
            self.state.session_limits,
            false,
            now,
        )
        .await
        .unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let operator = Operator {
            teams: Vec::new(),
            via: muster::domain::operator::Via::Session,
            id,
            name: name.to_owned(),
            role,
        };
        (operator, cookie)
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 8 << 20).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    /// The head of an answer, whose body may never end.
    pub async fn send_head(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        Answer {
            status: response.status(),
            headers: response.headers().clone(),
            text: String::new(),
        }
    }

    /// Serves the pages to real browsers until the test ends.
    pub async fn serve(&self) -> SocketAddr {
        self.serve_at(0).await
    }

    /// The same at that port.
    pub async fn serve_at(&self, port: u16) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = self
            .router
            .clone()
            .into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        address
    }

    fn request(method: Method, path: &str, cookie: &str) -> axum::http::request::Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "muster.test")
            .header(header::COOKIE, cookie)
            .header(header::ACCEPT, "text/html")
            .extension(ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 4000))))
    }

    pub async fn get(&self, path: &str, cookie: &str) -> Answer {
        let request = Self::request(Method::GET, path, cookie);
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// A form as a page of ours sends it.
    pub async fn post(&self, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_from("same-origin", path, cookie, fields).await
    }

    pub async fn post_from(&self, site: &str, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let request = Self::request(Method::POST, path, cookie)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", site);
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    /// A form as a page of ours sends it, from some other address.
    pub async fn post_as(&self, ip: IpAddr, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let request = Self::request(Method::POST, path, "")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .extension(ConnectInfo(SocketAddr::from((ip, 4000))));
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    /// Begins anew on the same database: with nothing that this process remembers.
    pub fn restart(&mut self) {
        self.state.throttle = Throttle::default();
        self.router = web::router(self.state.clone());
    }

    /// JSON as a program sends it.
    pub async fn post_json(&self, path: &str, cookie: &str, body: &str) -> Answer {
        let request =
            Self::request(Method::POST, path, cookie).header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(body.to_owned())).unwrap())
            .await
    }

    /// JSON that takes the place of what is there.
    pub async fn put_json(&self, path: &str, cookie: &str, body: &str) -> Answer {
        let request =
            Self::request(Method::PUT, path, cookie).header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(body.to_owned())).unwrap())
            .await
    }

    /// The body of a live stream, to be read bit by bit.
    pub async fn live(&self, path: &str, cookie: &str) -> axum::body::BodyDataStream {
        let request = Self::request(Method::GET, path, cookie)
            .body(Body::empty())
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.into_body().into_data_stream()
    }
}
