//! A cache of parsed templates, so that a template is not parsed again each time that
//! its stack is processed or its parameters change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use lang::Problem;
use lang::hot::Template;

/// Maximum total size of the cached texts, bytes.
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// The most recently used templates, by text.
#[derive(Default)]
pub(crate) struct Templates(Mutex<CachedTemplates>);

#[derive(Default)]
struct CachedTemplates {
    parsed: HashMap<String, (u64, Arc<Template>)>,
    bytes: usize,
    clock: u64,
}

impl Templates {
    /// # Errors
    /// Same errors as [`Template::parse`].
    pub(crate) fn parse(&self, text: &str) -> Result<Arc<Template>, Vec<Problem>> {
        if let Ok(mut cached) = self.0.lock() {
            cached.clock += 1;
            let clock = cached.clock;
            if let Some((used, template)) = cached.parsed.get_mut(text) {
                *used = clock;
                return Ok(template.clone());
            }
        }
        let template = Arc::new(Template::parse(text)?);
        if let Ok(mut cached) = self.0.lock() {
            cached.insert(text, &template);
        }
        Ok(template)
    }
}

impl CachedTemplates {
    fn insert(&mut self, text: &str, template: &Arc<Template>) {
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
