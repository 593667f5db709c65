//! What travels on a first visit, as it travels: compressed by the server itself.

use anyhow::{Context, Result, ensure};
use muster::web::assets;

use super::ground::Ground;
use crate::fleet;

/// A client that leaves a body as it came.
fn client() -> Result<reqwest::Client> {
    // It makes what any client needs.
    fleet::http()?;
    Ok(reqwest::Client::builder().no_proxy().no_gzip().build()?)
}

const CSS_MAX: usize = 8_000;
const JS_MAX: usize = 8_000;
const ICONS_MAX: usize = 4_000;
/// An incident with 200 events, and all that its page loads.
const PAGE_MAX: usize = 40_000;
/// A gate, opened from a link by somebody who is signed in.
const GATE_MAX: usize = 30_000;

struct Scales {
    base: String,
    cookie: String,
}

impl Scales {
    /// The bytes of the body.
    async fn weigh(&self, path: &str) -> Result<usize> {
        let request = client()?
            .get(format!("{}{path}", self.base))
            .header("accept-encoding", "gzip")
            .header("accept", "text/html")
            .header("cookie", &self.cookie);
        let answer = request
            .send()
            .await?
            .error_for_status()
            .context(path.to_owned())?;
        let squeezed = answer.headers().get("content-encoding").is_some();
        let weight = answer.bytes().await?.len();
        ensure!(squeezed || weight < 1000, "{path} is not compressed");
        Ok(weight)
    }
}

#[tokio::test]
async fn a_first_visit_is_light_enough_for_a_train() -> Result<()> {
    let ground = Ground::new().await;
    ground.notes(200).await;
    let scales = Scales {
        base: format!("http://{}", ground.site.serve().await),
        cookie: ground.ana.1.clone(),
    };
    let css = scales.weigh(assets::address("muster.css")).await?;
    let js = scales.weigh(assets::address("muster.js")).await?;
    let icons = scales.weigh(assets::address("icons.svg")).await?;
    let favicon = scales.weigh(assets::address("favicon.svg")).await?;
    let incident = scales.weigh("/incidents/1").await?;
    let gate = scales.weigh(&format!("/approvals/{}", ground.approval)).await?;
    let gate_js = scales.weigh(assets::address("gate.js")).await?;
    let shared = css + js + icons + favicon;
    let mut faults = Vec::new();
    for (what, weight, limit) in [
        ("style", css, CSS_MAX),
        ("scripts", js, JS_MAX),
        ("icons", icons, ICONS_MAX),
        (
            "first visit of an incident with 200 events",
            shared + incident,
            PAGE_MAX,
        ),
        ("first visit of a gate", shared + gate_js + gate, GATE_MAX),
    ] {
        println!("{what}: {weight} of {limit} bytes");
        if weight > limit {
            faults.push(format!("{what}: {weight} of {limit} bytes"));
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}
