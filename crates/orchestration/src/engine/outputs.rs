//! The outputs of a stack.

use std::collections::BTreeMap;

use lang::Path;
use serde_json::Value;

use super::stack_state::StackState;

impl StackState {
    /// Outputs of a finished stack; a failed output is null.
    pub(super) fn outputs(&self) -> BTreeMap<String, Value> {
        let Some(model) = &self.model else {
            return BTreeMap::new();
        };
        let bound = &model.bound;
        let root = Path::root("outputs");
        let outputs = bound.template.outputs.iter();
        outputs
            .map(|(name, output)| {
                let value = bound
                    .shows(name)
                    .then(|| bound.eval(&output.value, &root.key(name), self));
                (
                    name.clone(),
                    value.and_then(Result::ok).flatten().unwrap_or_default(),
                )
            })
            .collect()
    }
}
