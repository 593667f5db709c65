//! What twins say: a question meets the world, and may change it.

use serde_json::Value;

use super::{Change, Simulation, WorldFault, rules::PreparedTwin};
use crate::domain::{
    scenario::{Answer, Assignment, Failing},
    template::TemplateError,
};

/// Whether a twin can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It takes connections.
    Up,
    /// Connections are refused.
    Down,
    /// It takes them and never answers.
    Hangs,
}

/// How an answer comes.
#[derive(Clone, Debug, PartialEq)]
pub enum Manner {
    /// It arrives.
    Arrives,
    /// It says that it was not done.
    Refuses(String),
    /// It was done, and the answer is lost.
    Lost,
    /// Nothing fits the question.
    Unheard,
}

/// What a question finds.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// How the answer comes.
    pub manner: Manner,
    /// What it says.
    pub says: Value,
    /// The status of an HTTP answer, or an exit code.
    pub status: Option<i64>,
    /// What being asked has changed. They are not applied yet, so that they can be stored first.
    pub changes: Vec<Change>,
}

impl Found {
    fn plain(manner: Manner) -> Self {
        Self {
            manner,
            says: Value::Null,
            status: None,
            changes: Vec::new(),
        }
    }
}

/// One server as its proxy sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerState {
    /// Its name.
    pub name: String,
    /// Whether it is well.
    pub up: bool,
    /// `ready`, `drain` or `maint`.
    pub admin: String,
}

impl Simulation {
    /// Whether a target can be reached now.
    pub fn standing(&self, target: &str) -> Result<Standing, WorldFault> {
        match self.connector(target) {
            Some(Failing::Down) => return Ok(Standing::Down),
            Some(Failing::Hangs) => return Ok(Standing::Hangs),
            Some(Failing::Lost) | None => {}
        }
        let Some(twin) = self.rules.twins.get(target) else {
            return Ok(Standing::Down);
        };
        if let Some(up) = &twin.up
            && !up
                .holds(&self.scene)
                .map_err(|error| self.of_twin(target, error))?
        {
            return Ok(Standing::Down);
        }
        if let Some(hangs) = &twin.hangs
            && hangs
                .holds(&self.scene)
                .map_err(|error| self.of_twin(target, error))?
        {
            return Ok(Standing::Hangs);
        }
        Ok(Standing::Up)
    }

    /// Asks a twin. The changes are those of the caller to store and apply; what is said is as it is after them.
    pub fn ask(&self, target: &str, method: Option<&str>, asked: &str) -> Result<Found, WorldFault> {
        let Some((twin, prepared)) = self.twin(target) else {
            return Ok(Found::plain(Manner::Unheard));
        };
        for (answer, ready) in twin.answers.iter().zip(&prepared.answers) {
            let is_method = match (&answer.method, method) {
                (Some(wanted), Some(method)) => wanted.eq_ignore_ascii_case(method),
                (Some(_), None) => false,
                (None, _) => true,
            };
            if !is_method || !answer.asked.fits(asked) {
                continue;
            }
            let told = |error: TemplateError| self.fault((answer.at, error.to_string()));
            if let Some(when) = &ready.when
                && !when.holds(&self.scene).map_err(told)?
            {
                continue;
            }
            if let Some(fails) = &ready.fails {
                let text = fails.fill(&self.scene).map_err(told)?;
                let text = text.as_str().map_or_else(|| text.to_string(), str::to_owned);
                return Ok(Found::plain(Manner::Refuses(text)));
            }
            let changes: Vec<Change> = ready
                .set
                .iter()
                .map(|one| one.change(&self.scene).map_err(told))
                .collect::<Result<_, _>>()?;
            return self.say(target, answer, ready, changes);
        }
        Ok(Found::plain(Manner::Unheard))
    }

    fn say(
        &self,
        target: &str,
        answer: &Answer,
        ready: &super::rules::PreparedAnswer,
        changes: Vec<Change>,
    ) -> Result<Found, WorldFault> {
        let told = |error: TemplateError| self.fault((answer.at, error.to_string()));
        let is_lost = match &ready.lost {
            Some(lost) => lost.holds(&self.scene).map_err(told)?,
            None => false,
        } || self.connector(target) == Some(Failing::Lost);
        let after = match changes.is_empty() {
            true => None,
            false => {
                let mut after = self.clone();
                after.apply(&changes)?;
                Some(after)
            }
        };
        let scene = after.as_ref().map_or(&self.scene, |after| &after.scene);
        let status = match &ready.status {
            Some(status) => status.fill(scene).map_err(told)?.as_i64(),
            None => None,
        };
        Ok(Found {
            manner: match is_lost {
                true => Manner::Lost,
                false => Manner::Arrives,
            },
            says: ready.says.fill(scene).map_err(told)?,
            status,
            changes,
        })
    }

    /// The servers of a proxy's backend; nothing when it has no such backend.
    pub fn servers(&self, target: &str, backend: &str) -> Result<Vec<ServerState>, WorldFault> {
        let Some((twin, prepared)) = self.twin(target) else {
            return Ok(Vec::new());
        };
        let Some(servers) = twin.backends.get(backend) else {
            return Ok(Vec::new());
        };
        servers
            .iter()
            .map(|(name, server)| {
                let up = match prepared.servers.get(&(backend.to_owned(), name.clone())) {
                    Some(up) => up
                        .holds(&self.scene)
                        .map_err(|error| self.of_twin(target, error))?,
                    None => false,
                };
                let (service, variable) = &server.admin;
                let admin = self.state.get(service).and_then(|service| service.get(variable));
                Ok(ServerState {
                    name: name.clone(),
                    up,
                    admin: admin.and_then(Value::as_str).unwrap_or("ready").to_owned(),
                })
            })
            .collect()
    }

    /// What it changes to tell a proxy that a server shall be `ready`, `drain` or `maint`; `None` when it has no such
    /// server.
    pub fn set_server(&self, target: &str, backend: &str, server: &str, state: &str) -> Option<Change> {
        let (twin, _) = self.twin(target)?;
        let (service, variable) = &twin.backends.get(backend)?.get(server)?.admin;
        Some(Change {
            service: service.clone(),
            variable: variable.clone(),
            to: Value::from(state),
        })
    }

    /// What assignments outside the rules come to: those of an inject.
    pub fn changes(&self, set: &[Assignment]) -> Result<Vec<Change>, TemplateError> {
        let ready = super::rules::assignments(set)?;
        ready.iter().map(|one| one.change(&self.scene)).collect()
    }

    fn twin(&self, target: &str) -> Option<(&crate::domain::scenario::Twin, &PreparedTwin)> {
        let twin = self.rules.scenario.twins.get(target)?;
        Some((twin, self.rules.twins.get(target)?))
    }

    fn of_twin(&self, target: &str, error: TemplateError) -> WorldFault {
        let at = self.rules.scenario.twins.get(target).map(|twin| twin.at);
        self.fault((at.unwrap_or_default(), format!("the twin of {target}: {error}")))
    }
}
