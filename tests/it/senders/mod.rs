//! Real Alertmanagers and Prometheus servers post to the real program, through faults: nothing is lost, nothing doubled,
//! and each fault is shown to have struck.

mod node;
mod pair;
mod relay;

use std::time::Duration;

use anyhow::{Result, ensure};

use self::{
    node::{Node, Told},
    relay::{Mood, Relay},
};
use crate::{
    fleet::{scratch::Scratch, wait},
    support::{
        database::Database,
        muster::{Muster, Setup, client},
    },
};

/// Longer than any retry of a sender here.
const SOON: Duration = Duration::from_secs(30);
/// Longer than a node waits for the one before it.
const LATE: Duration = Duration::from_millis(2500);

/// The program on a database of its own, behind a relay.
struct World {
    scratch: Scratch,
    database: Database,
    setup: Setup,
    muster: Muster,
    relay: Relay,
}

/// Where an alert stands: its incidents, its episodes, how many of these fire, and how often an incident came back.
type Standing = (i64, i64, i64, i64);

/// Fires, once and in one incident.
const FIRES: Standing = (1, 1, 1, 0);
/// Is over, and was one alert in one incident all the time.
const OVER: Standing = (1, 1, 0, 0);

impl World {
    async fn new() -> Result<Self> {
        let database = Database::new().await;
        let scratch = Scratch::new()?;
        let setup = Setup::new(database.url(), &scratch.folder("muster")?);
        let muster = setup.start(None);
        let world = Self {
            relay: Relay::start(setup.address).await,
            scratch,
            database,
            setup,
            muster,
        };
        world.is_ready().await?;
        Ok(world)
    }

    async fn is_ready(&self) -> Result<()> {
        wait::until("Muster is ready", SOON, async || {
            client()
                .get(self.muster.url("/readyz"))
                .send()
                .await?
                .error_for_status()?;
            Ok(())
        })
        .await
    }

    async fn standing(&self, name: &str) -> Result<Standing> {
        Ok(sqlx::query_as(
            "select count(distinct i.id), count(e.id), count(e.id) filter (where e.ends_at is null or e.refire_due is not null),
                    coalesce(max(i.reopened), 0)::bigint
             from alerts a join episodes e on e.alert_id = a.id join incidents i on i.id = e.incident_id
             where a.labels ->> 'alertname' = $1",
        )
        .bind(name)
        .fetch_one(&self.database.pools.web)
        .await?)
    }

    async fn comes_to(&self, name: &str, wanted: Standing) -> Result<()> {
        wait::until(&format!("{name} comes to {wanted:?}"), SOON, async || {
            let standing = self.standing(name).await?;
            ensure!(standing == wanted, "{name} stands at {standing:?}");
            Ok(())
        })
        .await
    }

    /// Waits until the relay has seen enough of something.
    async fn sees(&self, what: &str, times: usize, of_interest: impl Fn(&relay::Seen) -> bool) -> Result<()> {
        wait::until(what, SOON, async || {
            let seen = self.relay.seen(&of_interest).len();
            ensure!(seen >= times, "seen {seen} times");
            Ok(())
        })
        .await
    }

    fn end(mut self) {
        drop(self.muster);
        self.scratch.ended_well();
    }
}

async fn cluster(world: &World) -> Result<Vec<Node>> {
    let to = world.relay.address;
    let mut nodes = vec![Node::start(&world.scratch, "node-1", to, &[]).await?];
    for name in ["node-2", "node-3"] {
        let node = Node::start(&world.scratch, name, to, &[&nodes[0]]).await?;
        nodes.push(node);
    }
    for node in &nodes {
        wait::until("the cluster has settled", SOON, async || node.knows(3).await).await?;
    }
    Ok(nodes)
}

#[tokio::test]
async fn a_cluster_of_three_loses_and_doubles_nothing() -> Result<()> {
    let mut world = World::new().await?;
    let mut nodes = cluster(&world).await?;

    // 5xx for a while, for the beginning and for the end: every node tries, and every node delivers.
    world.relay.be(Mood::Refuse);
    let refused = |status: &'static str| {
        move |seen: &relay::Seen| seen.mood == Mood::Refuse && seen.says(status, "Refused")
    };
    let told = Told::fires(&nodes, "Refused", "db-1").await;
    world.sees("every node is refused", 6, refused("firing")).await?;
    world.relay.be(Mood::Pass);
    world.comes_to("Refused", FIRES).await?;
    world.relay.be(Mood::Refuse);
    told.ends(&nodes).await;
    world.sees("the end is refused", 3, refused("resolved")).await?;
    ensure!(
        world.standing("Refused").await? == FIRES,
        "nobody has told Muster of the end"
    );
    world.relay.be(Mood::Pass);
    world.comes_to("Refused", OVER).await?;

    // Answers that come later than a node waits for the one before it: the next one sends the same.
    world.relay.be(Mood::Late(LATE));
    let late = |status: &'static str| {
        move |seen: &relay::Seen| seen.says(status, "Late") && seen.status == Some(200)
    };
    let told = Told::fires(&nodes, "Late", "db-1").await;
    world
        .sees("a second node sends the same", 2, late("firing"))
        .await?;
    told.ends(&nodes).await;
    world
        .sees("a second node sends the end", 2, late("resolved"))
        .await?;
    let mut senders: Vec<String> = world
        .relay
        .seen(late("firing"))
        .iter()
        .map(relay::Seen::node)
        .collect();
    senders.sort();
    senders.dedup();
    ensure!(senders.len() >= 2, "only {senders:?} sent it");
    world.relay.be(Mood::Pass);
    world.comes_to("Late", OVER).await?;

    // Nobody listens: Muster is killed, and started again while they try.
    world.muster.kill();
    let told = Told::fires(&nodes, "Unheard", "db-1").await;
    let unheard = |seen: &relay::Seen| seen.says("firing", "Unheard") && seen.status.is_none();
    world.sees("nobody listens", 2, unheard).await?;
    world.muster = world.setup.start(None);
    world.is_ready().await?;
    world.comes_to("Unheard", FIRES).await?;
    told.ends(&nodes).await;
    world.comes_to("Unheard", OVER).await?;

    // The node that speaks is killed while its alert fires: another one says that it is over.
    let told = Told::fires(&nodes, "Killed", "db-1").await;
    let killed = |seen: &relay::Seen| seen.says("firing", "Killed");
    world.sees("a node has spoken", 1, killed).await?;
    world.comes_to("Killed", FIRES).await?;
    let speaker = world.relay.seen(killed)[0].node();
    let speaker = nodes
        .iter_mut()
        .find(|node| speaker.contains(&node.port.to_string()));
    let speaker = speaker.expect("the speaker is one of the cluster");
    speaker.process.kill();
    ensure!(speaker.process.ended().is_some(), "it was killed");
    told.ends(&nodes).await;
    world.comes_to("Killed", OVER).await?;

    let all = "select count(*) from incidents";
    ensure!(
        world.database.count(all).await == 4,
        "one incident for each alert"
    );
    drop(nodes);
    world.end();
    Ok(())
}

#[tokio::test]
async fn an_alertmanager_that_regroups_and_silences_loses_and_doubles_nothing() -> Result<()> {
    let world = World::new().await?;
    let nodes = [Node::start(&world.scratch, "alone", world.relay.address, &[]).await?];
    let node = &nodes[0];

    // Another group_by while two alerts fire: the same alerts come again under new keys.
    let told = [
        Told::fires(&nodes, "Regrouped", "db-1").await,
        Told::fires(&nodes, "Regrouped", "db-2").await,
    ];
    let both = (1, 2, 2, 0);
    world.comes_to("Regrouped", both).await?;
    node.regroup(world.relay.address, "alertname, instance").await?;
    let regrouped = |seen: &relay::Seen| {
        seen.says("firing", "Regrouped")
            && seen.status == Some(200)
            && seen.body["groupKey"]
                .as_str()
                .is_some_and(|key| key.contains("instance="))
    };
    world
        .sees("both come under keys of their own", 2, regrouped)
        .await?;
    ensure!(
        world.standing("Regrouped").await? == both,
        "they are where they were"
    );
    for told in &told {
        told.ends(&nodes).await;
    }
    world.comes_to("Regrouped", (1, 2, 0, 0)).await?;
    node.regroup(world.relay.address, "alertname").await?;

    // An alert that ends under a silence is not spoken of: another one's end in the same group is not its own.
    let quiet = Told::fires(&nodes, "Silenced", "db-1").await;
    let other = Told::fires(&nodes, "Silenced", "db-2").await;
    world.comes_to("Silenced", both).await?;
    let silence = node.silence("db-1").await?;
    quiet.ends(&nodes).await;
    other.ends(&nodes).await;
    let over = |seen: &relay::Seen| seen.says("resolved", "Silenced") && seen.body["status"] == "resolved";
    world.sees("a body says that the group is over", 1, over).await?;
    ensure!(
        world.relay.seen(over)[0].body["alerts"].as_array().map(Vec::len) == Some(1),
        "the silenced one is not in it"
    );
    world.comes_to("Silenced", (1, 2, 1, 0)).await?;
    // The group's last word is said: not even without the silence does Alertmanager speak of it again.
    node.expire(&silence).await?;

    // Alone in its group, the end comes when the silence goes while its senders still repeat it.
    let late = Told::fires(&nodes, "Muted", "db-3").await;
    world.comes_to("Muted", FIRES).await?;
    let silence = node.silence("db-3").await?;
    late.ends(&nodes).await;
    // Another group comes and goes: in that time every group was looked at.
    let pace = Told::fires(&nodes, "Pace", "db-4").await;
    world.comes_to("Pace", FIRES).await?;
    pace.ends(&nodes).await;
    world.comes_to("Pace", OVER).await?;
    ensure!(
        world.standing("Muted").await? == FIRES,
        "nobody has told Muster of the end"
    );
    node.expire(&silence).await?;
    late.ends(&nodes).await;
    world.comes_to("Muted", OVER).await?;
    ensure!(
        world.standing("Silenced").await? == (1, 2, 1, 0),
        "what was not told is not over"
    );

    ensure!(
        node.metric("alertmanager_notifications_failed_total").await? == 0.0,
        "none failed"
    );
    drop(nodes);
    world.end();
    Ok(())
}
