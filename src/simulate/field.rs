//! The field of a game day: the real targets of a drill environment behind the names of its runbooks, and nothing else.
//! Its world is not simulated but measured on them.

use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};
use serde_json::Value;
use tokio::sync::watch;

use crate::{
    actions::{Listener, World},
    domain::{
        action::{Envelope, Failure, FailureClass, Outcome, Rendered},
        drill::{name, twin_mark},
        fault::Fault,
        id::DrillId,
        scenario::{GameDay, Measure},
        span::Span,
        target::{Target, Targets},
    },
};

/// How long one measure may take.
const MEASURE_MAX: Span = Span::from_secs(3);

/// What game days are played with, where they are.
#[derive(Clone)]
pub struct Outdoors {
    /// What this machine is called in the journal of faults.
    pub host: String,
    /// The targets there are.
    pub targets: watch::Receiver<Arc<Targets>>,
    /// The way to them.
    pub world: Arc<dyn World>,
}

/// The field of one game day.
pub(super) struct Field {
    id: DrillId,
    day: GameDay,
    outdoors: Outdoors,
}

impl Field {
    pub(super) fn new(id: DrillId, day: GameDay, outdoors: Outdoors) -> Self {
        Self { id, day, outdoors }
    }

    /// What is behind a name of the scenario now, under the name that it has in the drill.
    fn target(&self, plain: &str) -> Result<Target, String> {
        let real = self.real(plain)?;
        let known = self.outdoors.targets.borrow();
        let mut target = known.find_drill(real)?.clone();
        // Under this name it has its own circuit, and stands at gates.
        target.name = format!("{}{plain}", twin_mark(self.id));
        Ok(target)
    }

    /// The name of the real target behind a name of the scenario.
    pub(super) fn real(&self, plain: &str) -> Result<&str, String> {
        let real = self.day.targets.get(plain);
        real.map(String::as_str).ok_or_else(|| {
            format!(
                "{plain} is not among the targets of {}; nothing of a drill leaves them",
                name(self.id)
            )
        })
    }

    /// What runs find under the names of the scenario. What may not be touched any more is not among it.
    pub(super) fn targets(&self) -> Targets {
        let named = |plain: &String| Some((plain.clone(), self.target(plain).ok()?));
        Targets(self.day.targets.keys().filter_map(named).collect())
    }

    /// A fault as its target allows it now.
    pub(super) fn fault(&self, plain: &str, cause: &str) -> Result<Fault, String> {
        let target = self.target(plain)?;
        let real = self.real(plain)?;
        let fault = target.faults.get(cause).cloned();
        fault.ok_or_else(|| format!("target {real} does not allow the fault {cause}"))
    }

    /// Asks everything that is measured, all at once. A target that does not answer is a finding as well.
    pub(super) async fn measure(&self) -> Vec<Value> {
        join_all(self.day.measures.iter().map(|measure| self.ask(measure))).await
    }

    async fn ask(&self, measure: &Measure) -> Value {
        let mut with = measure.ask.with.clone();
        if let Some(with) = with.as_object_mut() {
            with.remove("target");
        }
        let target = match self.target(measure.target()) {
            Ok(target) => target,
            Err(why) => return Failure::new(FailureClass::Invalid, why).as_result(),
        };
        let request = Rendered {
            action: measure.ask.action,
            target: target.name.clone(),
            with,
        };
        let envelope = Envelope {
            key: format!("{}-measure", name(self.id)),
            fence: 0,
            timeout: MEASURE_MAX,
            not_after: None,
            read_only: true,
        };
        match self.outdoors.world.perform(&target, &request, &envelope).await {
            Ok(outcome) => outcome.result,
            Err(failure) => failure.as_result(),
        }
    }

    /// Refuses what is not exactly a target of this field as it is now: the file may have changed since the run saw it.
    fn admit(&self, target: &Target) -> Result<(), Failure> {
        let refused = |message: String| Failure::new(FailureClass::Invalid, message);
        let plain = target.name.strip_prefix(&twin_mark(self.id));
        let Some(plain) = plain else {
            return Err(refused(format!(
                "{} is not a target of {}; nothing of a drill leaves it",
                target.name,
                name(self.id)
            )));
        };
        match self.target(plain).map_err(refused)?.digest() == target.digest() {
            true => Ok(()),
            false => Err(refused(format!(
                "target {plain} was changed in the targets file meanwhile"
            ))),
        }
    }
}

impl World for Field {
    fn perform<'a>(
        &'a self,
        target: &'a Target,
        request: &'a Rendered,
        envelope: &'a Envelope,
    ) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            self.admit(target)?;
            self.outdoors.world.perform(target, request, envelope).await
        })
    }

    fn perform_heard<'a>(
        &'a self,
        target: &'a Target,
        request: &'a Rendered,
        envelope: &'a Envelope,
        listener: &'a dyn Listener,
    ) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            self.admit(target)?;
            let world = &self.outdoors.world;
            world.perform_heard(target, request, envelope, listener).await
        })
    }
}
