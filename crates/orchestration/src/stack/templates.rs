//! Parsed templates: a text is parsed once, however often a stack is looked
//! at or its parameters change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use lang::Problem;
use lang::hot::Template;

/// Bytes of the texts of all kept templates together.
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// The templates that were used most recently, by their texts.
#[derive(Default)]
pub(crate) struct Templates(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    parsed: HashMap<String, (u64, Arc<Template>)>,
    bytes: usize,
    clock: u64,
}

impl Templates {
    /// # Errors
    /// As [`Template::parse`].
    pub(crate) fn parse(&self, text: &str) -> Result<Arc<Template>, Vec<Problem>> {
        if let Ok(mut kept) = self.0.lock() {
            kept.clock += 1;
            let clock = kept.clock;
            if let Some((used, template)) = kept.parsed.get_mut(text) {
                *used = clock;
                return Ok(template.clone());
            }
        }
        let template = Arc::new(Template::parse(text)?);
        if let Ok(mut kept) = self.0.lock() {
            kept.keep(text, &template);
        }
        Ok(template)
    }
}

impl Kept {
    fn keep(&mut self, text: &str, template: &Arc<Template>) {
        let entry = (self.clock, template.clone());
        if self.parsed.insert(text.to_owned(), entry).is_none() {
            self.bytes += text.len();
        }
        while self.bytes > MAX_BYTES {
            let oldest = self.parsed.iter().min_by_key(|(_, (used, _))| *used);
            let Some(text) = oldest.map(|(text, _)| text.clone()) else {
                return;
            };
            self.parsed.remove(&text);
            self.bytes -= text.len();
        }
    }
}
