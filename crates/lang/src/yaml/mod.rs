//! Parses text to a tree: parser events with our own scalar resolution.
//!
//! PyYAML's YAML 1.1 as in Heat's loader, with two differences: a duplicate key
//! is an error (PyYAML silently uses the last one), and keys are always text.
//! Anchors are copied within a budget, so a text that expands to billions of
//! nodes is rejected.

mod scalar;

use std::borrow::Cow;
use std::collections::HashMap;

use indexmap::IndexMap;
use indexmap::map::Entry as Slot;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use crate::{Entry, Kind, Node, Pos, Problem};

/// Maximum size of a text, bytes (Heat's `max_template_size`).
pub const MAX_BYTES: usize = 524_288;
/// Maximum number of nodes, including copies of anchors.
pub const MAX_NODES: usize = 200_000;
/// Maximum nesting depth of lists and maps.
pub const MAX_DEPTH: usize = 64;

/// Parses one YAML or JSON document. An empty text is null.
///
/// # Errors
/// The first problem, with its line: syntax, a duplicate key, an unknown tag, a
/// text that is too large, too deep or expands to too much.
pub fn parse(text: &str) -> Result<Node, Problem> {
    if text.len() > MAX_BYTES {
        return Err(Problem::new(
            "",
            Pos::default(),
            format!(
                "The text has {} bytes; at most {MAX_BYTES} are allowed.",
                text.len()
            ),
        ));
    }
    match Builder::default().run(text) {
        Ok(node) => Ok(node),
        // Some JSON escapes are invalid in YAML (surrogate pairs).
        Err(problem) if text.trim_start().starts_with('{') => {
            match serde_json::from_str::<serde_json::Value>(text) {
                Ok(value) if !problem.message.starts_with("Duplicate") => {
                    Ok(Node::from_json(&value))
                }
                _ => Err(problem),
            }
        }
        Err(problem) => Err(problem),
    }
}

/// An open list or map.
enum Open {
    List(Vec<Node>),
    Map {
        entries: IndexMap<String, Entry>,
        key: Option<(String, Pos)>,
        /// Maps merged by `<<`; explicit keys take precedence, earlier maps
        /// over later ones.
        merged: Vec<Node>,
    },
}

struct Frame {
    open: Open,
    pos: Pos,
    anchor: usize,
}

#[derive(Default)]
struct Builder {
    stack: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
}

impl Builder {
    fn run(mut self, text: &str) -> Result<Node, Problem> {
        let mut documents = 0;
        for item in Parser::new_from_str(text) {
            let (event, span) = item.map_err(|e| wrong(at(e.marker()), e.info()))?;
            let pos = at(&span.start);
            match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(wrong(pos, "expected a single document in the text"));
                    }
                }
                Event::Scalar(text, style, anchor, tag) => {
                    self.scalar(text, style, anchor, tag.as_deref(), pos)?;
                }
                Event::SequenceStart(anchor, tag) => {
                    container_tag(tag.as_deref(), "seq", pos)?;
                    self.open(Open::List(Vec::new()), pos, anchor)?;
                }
                Event::MappingStart(anchor, tag) => {
                    container_tag(tag.as_deref(), "map", pos)?;
                    let map = Open::Map {
                        entries: IndexMap::new(),
                        key: None,
                        merged: Vec::new(),
                    };
                    self.open(map, pos, anchor)?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.close()?,
                Event::Alias(anchor) => {
                    // Missing while its own node is still open, because it
                    // would contain itself.
                    let node = self.anchors.get(&anchor).cloned();
                    let mut node =
                        node.ok_or_else(|| wrong(pos, "An alias refers to a node that holds it."))?;
                    self.count(node.weight(), pos)?;
                    node.pos = pos;
                    self.put(node, None)?;
                }
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            }
        }
        Ok(self.root.unwrap_or_default())
    }

    fn count(&mut self, n: usize, pos: Pos) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(n);
        if self.nodes > MAX_NODES {
            return Err(wrong(
                pos,
                format!("The text unfolds to more than {MAX_NODES} values."),
            ));
        }
        Ok(())
    }

    fn open(&mut self, open: Open, pos: Pos, anchor: usize) -> Result<(), Problem> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(wrong(
                pos,
                format!("More than {MAX_DEPTH} levels of nesting."),
            ));
        }
        if let Some(Frame {
            open: Open::Map { key: None, .. },
            ..
        }) = self.stack.last()
        {
            return Err(wrong(pos, "A key must be text, not a list or a map."));
        }
        self.count(1, pos)?;
        self.stack.push(Frame { open, pos, anchor });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Problem> {
        let Some(frame) = self.stack.pop() else {
            return Ok(());
        };
        let kind = match frame.open {
            Open::List(items) => Kind::List(items),
            Open::Map {
                mut entries,
                merged,
                ..
            } => {
                for source in &merged {
                    self.merge(&mut entries, source)?;
                }
                Kind::Map(entries)
            }
        };
        let node = Node {
            pos: frame.pos,
            kind,
        };
        if frame.anchor > 0 {
            self.anchors.insert(frame.anchor, node.clone());
        }
        self.put(node, None)
    }

    fn merge(
        &mut self,
        entries: &mut IndexMap<String, Entry>,
        source: &Node,
    ) -> Result<(), Problem> {
        match &source.kind {
            Kind::Map(map) => {
                for (key, entry) in map {
                    if let Slot::Vacant(slot) = entries.entry(key.clone()) {
                        slot.insert(entry.clone());
                    }
                }
                Ok(())
            }
            Kind::List(list) => list.iter().try_for_each(|n| self.merge(entries, n)),
            _ => Err(wrong(
                source.pos,
                "'<<' expects a map or a list of maps to merge.",
            )),
        }
    }

    fn scalar(
        &mut self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        pos: Pos,
    ) -> Result<(), Problem> {
        self.count(1, pos)?;
        let plain = style == ScalarStyle::Plain;
        let kind = match tag {
            None if plain => scalar::implicit(&text),
            None => Some(Kind::Text(text.clone().into_owned())),
            Some(t) if t.handle == "tag:yaml.org,2002:" => scalar::tagged(&t.suffix, &text),
            Some(t) if t.handle.is_empty() && t.suffix == "!" => {
                Some(Kind::Text(text.clone().into_owned()))
            }
            Some(t) => {
                return Err(wrong(
                    pos,
                    format!("Unknown tag '{}{}'.", t.handle, t.suffix),
                ));
            }
        };
        let kind = kind.ok_or_else(|| {
            wrong(
                pos,
                format!("'{text}' cannot be read as a value of its kind."),
            )
        })?;
        let node = Node { pos, kind };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.put(node, Some((text.into_owned(), plain)))
    }

    /// Adds a finished node to its parent; `source` is the text of a scalar.
    fn put(&mut self, node: Node, source: Option<(String, bool)>) -> Result<(), Problem> {
        match self.stack.last_mut().map(|f| &mut f.open) {
            None => self.root = Some(node),
            Some(Open::List(items)) => items.push(node),
            Some(Open::Map {
                entries,
                key,
                merged,
            }) => match key.take() {
                None => {
                    let (text, plain) = match (source, &node.kind) {
                        (Some(s), _) => s,
                        (None, Kind::Text(t)) => (t.clone(), false),
                        _ => {
                            return Err(wrong(
                                node.pos,
                                "A key must be text, not a list or a map.",
                            ));
                        }
                    };
                    if entries.contains_key(&text) {
                        return Err(wrong(node.pos, format!("Duplicate key '{text}'.")));
                    }
                    let merge = plain && text == "<<";
                    *key = Some((if merge { MERGE.to_owned() } else { text }, node.pos));
                }
                Some((name, _)) if name == MERGE => merged.push(node),
                Some((name, key_pos)) => {
                    entries.insert(
                        name,
                        Entry {
                            key_pos,
                            value: node,
                        },
                    );
                }
            },
        }
        Ok(())
    }
}

/// Represents the merge key; a key in a text cannot contain a NUL.
const MERGE: &str = "\0<<";

fn container_tag(tag: Option<&Tag>, own: &str, pos: Pos) -> Result<(), Problem> {
    match tag {
        None => Ok(()),
        Some(t) if t.handle == "tag:yaml.org,2002:" && t.suffix == own => Ok(()),
        Some(t) => Err(wrong(
            pos,
            format!("Unknown tag '{}{}'.", t.handle, t.suffix),
        )),
    }
}

fn at(marker: &Marker) -> Pos {
    Pos {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

fn wrong(pos: Pos, message: impl Into<String>) -> Problem {
    Problem::new("", pos, message)
}
