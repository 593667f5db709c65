//! Muster's pages over a database of their own, reached over loopback, and people who are signed in there.

use std::{net::SocketAddr, path::Path};

use anyhow::Context;
use muster::{
    clock::Clock,
    domain::{
        operator::Role,
        sign_in::{Arrival, Way},
    },
    store::{
        embedded::Embedded,
        migrate, operators,
        pool::{PoolSizes, Pools},
        wake::Wake,
    },
    web::{self, session, state::AppState},
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::net::TcpListener;

/// The pages over one database.
pub struct Site {
    pub pools: Pools,
    client: reqwest::Client,
    address: SocketAddr,
}

impl Site {
    /// Serves the pages over a new database of that name, which `fill` makes ready before anybody connects; `wake` tells
    /// open ones that something changed.
    pub async fn new(
        server: &Embedded,
        name: &str,
        wake: Wake,
        fill: impl AsyncFnOnce(&mut PgConnection) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let mut conn = PgConnection::connect_with(&server.connect_options()).await?;
        conn.execute(AssertSqlSafe(format!("create database {name}")))
            .await?;
        let options = server.connect_options().database(name);
        migrate::run(&options).await?;
        let mut conn = PgConnection::connect_with(&options).await?;
        fill(&mut conn).await?;
        let pools = Pools::new(&options, &PoolSizes::default());
        let state = AppState::new(pools.web.clone(), Clock::real(), wake);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let service = web::router(state).into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Ok(Self {
            pools,
            client: reqwest::Client::builder().no_proxy().build()?,
            address,
        })
    }

    /// A request for that path by whom the cookie belongs to.
    pub fn get(&self, path: &str, cookie: &str) -> reqwest::RequestBuilder {
        let request = self.client.get(format!("http://{}{path}", self.address));
        request.header("cookie", cookie)
    }
}

/// Adds a responder; returns the cookie of their session.
pub async fn person(conn: &mut PgConnection, name: &str) -> anyhow::Result<String> {
    let now = Clock::real().now();
    let id = operators::insert(conn, name, "no password opens this", Role::Responder, now)
        .await?
        .context("the name is new")?;
    let limits = Default::default();
    let (way, arrival) = (Way::Password, Arrival::default());
    let cookie = session::begin(conn, id, &way, &arrival, limits, false, now).await?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}

/// A folder that is there while `work` works in it.
pub async fn in_folder(
    name: &str,
    work: impl AsyncFnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("muster-bench-{name}-{}", std::process::id()));
    std::fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
    let measured = work(&folder).await;
    std::fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    measured
}
