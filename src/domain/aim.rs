//! A request, rendered and aimed at the target it names.

use serde_json::Value;

use super::{
    action::Rendered,
    step::Request,
    target::{Target, Targets},
    template::render_tree,
};

/// One request, rendered, with the target it is aimed at.
#[derive(Clone, Debug)]
pub struct Aimed {
    /// What is sent.
    pub request: Rendered,
    /// Where to.
    pub target: Target,
}

/// Renders a request; or says what is wrong with it.
pub fn rendered(request: &Request, context: &Value) -> Result<Rendered, String> {
    let rendered = render_tree(&request.with, context).map_err(|error| error.to_string())?;
    let Value::Object(mut with) = rendered else {
        return Err("the inputs are not a map".to_owned());
    };
    let Some(Value::String(target)) = with.remove("target") else {
        return Err("no target is named".to_owned());
    };
    Ok(Rendered {
        action: request.action,
        target,
        with: Value::Object(with),
    })
}

/// Renders a request and finds its target among those the file names now; or says what is wrong with it.
pub fn aim(targets: &Targets, request: &Request, context: &Value) -> Result<Aimed, String> {
    let request = rendered(request, context)?;
    let target = targets.find(&request.target, request.action)?.clone();
    Ok(Aimed { request, target })
}
