//! How people come in, stay in and are put out.

mod first_run;
mod guessing;
mod landing;
mod passkeys;
mod passwords;
mod recovery;
mod screen;
mod sessions;

use axum::http::StatusCode;

use crate::support::site::{Answer, Site};

/// Tries to sign in by password, without a cookie.
async fn sign_in(site: &Site, name: &str, password: &str, next: &str) -> Answer {
    let fields = [("name", name), ("password", password), ("next", next)];
    site.post("/login", "", &fields).await
}

/// Whether that cookie opens pages.
async fn opens(site: &Site, cookie: &str) -> bool {
    let answer = site.get("/incidents", cookie).await;
    match answer.status {
        StatusCode::OK => true,
        StatusCode::SEE_OTHER => {
            assert_eq!(answer.header("location"), "/login?next=%2Fincidents");
            false
        }
        other => panic!("{other}"),
    }
}

/// The acts about who comes in, the oldest first.
async fn acts(site: &Site) -> Vec<String> {
    sqlx::query_scalar("select act from standing_acts order by id")
        .fetch_all(&mut *site.conn().await)
        .await
        .unwrap()
}
