//! Who may send, kept in memory: deliveries are accepted while the database is away, and no delivery costs a statement
//! to know its sender. A snapshot on the disk lets a Muster that starts without its database accept as well.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::{silence::in_time, snapshot::Snapshot};
use crate::{
    clock::Clock,
    domain::{digest::Digest, id::SourceId},
    store::{
        StoreError,
        sources::{self, KnownSource, Source},
    },
};

/// How long a change of sources or tokens takes at most to be known here.
const REFRESH: Duration = Duration::from_secs(10);
/// What the database said this long ago is taken for what it says now, when a sender does not fit it: a sender that is set
/// up wrongly must not become a load either.
const ANEW_EVERY: Duration = Duration::from_secs(1);
/// How often at most a sender that is not known makes Muster look again, in one second: guessing must not become a load.
const LOOKS_PER_SECOND: u32 = 20;

#[derive(Debug, Default)]
struct Known {
    by_token: HashMap<(String, Digest), Arc<Source>>,
    by_id: HashMap<SourceId, Arc<Source>>,
    by_name: HashMap<String, SourceId>,
    /// When the database was asked; `None` for what the snapshot says.
    asked_at: Option<Instant>,
}

impl Known {
    fn new(found: Vec<KnownSource>, asked_at: Option<Instant>) -> Self {
        let mut known = Self {
            asked_at,
            ..Self::default()
        };
        for found in found {
            let source = Arc::new(found.source);
            for hash in found.token_hashes {
                let key = (source.name.clone(), hash);
                known.by_token.insert(key, source.clone());
            }
            known.by_name.insert(source.name.clone(), source.id);
            known.by_id.insert(source.id, source);
        }
        known
    }
}

/// Who may send.
#[derive(Debug)]
pub struct Senders {
    pool: PgPool,
    clock: Clock,
    known: RwLock<Option<Arc<Known>>>,
    snapshot: Option<Snapshot>,
    /// Held while the database is asked, so that an answer from before a change never takes the place of one from after it.
    asking: tokio::sync::Mutex<()>,
    looks: Mutex<(Instant, u32)>,
    used: Mutex<HashMap<Digest, DateTime<Utc>>>,
}

impl Senders {
    /// Starts to keep them, with what the snapshot says until the database says more; ends when nobody uses them any more.
    pub fn start(pool: PgPool, clock: Clock, snapshot: Option<Snapshot>) -> Arc<Self> {
        let remembered = snapshot.as_ref().and_then(Snapshot::load);
        let known = remembered.map(|found| Arc::new(Known::new(found, None)));
        let senders = Arc::new(Self {
            pool,
            clock,
            known: RwLock::new(known),
            snapshot,
            asking: tokio::sync::Mutex::default(),
            looks: Mutex::new((Instant::now(), 0)),
            used: Mutex::default(),
        });
        let weak = Arc::downgrade(&senders);
        let clock = senders.clock.clone();
        tokio::spawn(async move {
            loop {
                {
                    let Some(senders) = weak.upgrade() else { return };
                    senders.look_now().await;
                }
                clock.sleep(REFRESH).await;
            }
        });
        senders
    }

    /// Asks the database now: something about sources or tokens was committed. When it does not answer, what is known stays
    /// until it is asked next.
    pub async fn look_now(&self) {
        if let Err(error) = self.refresh().await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the sources known stay as they are"
            );
        }
    }

    async fn refresh(&self) -> Result<(), StoreError> {
        in_time(self.ask()).await
    }

    async fn ask(&self) -> Result<(), StoreError> {
        let _asking = self.asking.lock().await;
        let asked_at = Instant::now();
        let mut conn = self.pool.acquire().await?;
        let used: Vec<(Digest, DateTime<Utc>)> = {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            used.drain().collect()
        };
        if !used.is_empty() {
            sources::note_used(&mut conn, &used).await?;
        }
        let found = sources::snapshot(&mut conn).await?;
        drop(conn);
        if let Some(snapshot) = &self.snapshot {
            snapshot.save(&found);
        }
        let known = Arc::new(Known::new(found, Some(asked_at)));
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known);
        Ok(())
    }

    fn known(&self) -> Option<Arc<Known>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The source of that name that this token opens. A token that is not known may be new, so the database is asked
    /// once more; an error means that it could not be.
    pub async fn find(&self, name: &str, token: Digest) -> Result<Option<Arc<Source>>, StoreError> {
        let mut found = self.opened_by(name, token);
        if found.is_none() {
            if !self.may_look() {
                return Err(StoreError::Contended);
            }
            self.refresh().await?;
            found = self.opened_by(name, token);
        }
        Ok(found)
    }

    /// The same by what the database says now, or said a second ago: for a delivery that does not fit what is known of its
    /// source.
    pub async fn find_anew(&self, name: &str, token: Digest) -> Result<Option<Arc<Source>>, StoreError> {
        let asked_at = self.known().and_then(|known| known.asked_at);
        if asked_at.is_none_or(|asked_at| asked_at.elapsed() > ANEW_EVERY) {
            self.refresh().await?;
        }
        Ok(self.opened_by(name, token))
    }

    fn opened_by(&self, name: &str, token: Digest) -> Option<Arc<Source>> {
        let found = self.known()?.by_token.get(&(name.to_owned(), token)).cloned()?;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.insert(token, self.clock.now());
        Some(found)
    }

    /// Whether the database or the snapshot has said who may send.
    pub fn are_known(&self) -> bool {
        self.known().is_some()
    }

    /// The number of the source of that name.
    pub fn id_of(&self, name: &str) -> Option<SourceId> {
        self.known()?.by_name.get(name).copied()
    }

    /// A source by its number as the database has it, disabled or not; `None` for one that it does not have.
    pub async fn by_id(&self, id: SourceId) -> Result<Option<Arc<Source>>, StoreError> {
        let known = self.known().filter(|known| known.asked_at.is_some());
        if let Some(source) = known.and_then(|known| known.by_id.get(&id).cloned()) {
            return Ok(Some(source));
        }
        let asked = in_time(async {
            let mut conn = self.pool.acquire().await?;
            sources::find(&mut conn, id).await
        });
        Ok(asked.await?.map(Arc::new))
    }

    fn may_look(&self) -> bool {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if looks.0.elapsed() >= Duration::from_secs(1) {
            *looks = (Instant::now(), 0);
        }
        looks.1 += 1;
        looks.1 <= LOOKS_PER_SECOND
    }
}
