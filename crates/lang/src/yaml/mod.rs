//! Parses text to a tree. A library parses the syntax, and the types of scalars are
//! determined here.
//!
//! The language is YAML 1.1 as in PyYAML and Heat's loader, with two differences: a
//! duplicate key is an error (PyYAML silently uses the last one), and keys are always
//! text. Aliases are copied within a budget, so a text that expands to billions of
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
/// Maximum total length of keys and texts, including copies of anchors, bytes.
pub const MAX_TEXT: usize = 4 * MAX_BYTES;
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
                    let node = Node::from_json(&value);
                    let cost = Cost::of(&node);
                    let ok = cost.nodes <= MAX_NODES && cost.depth <= MAX_DEPTH;
                    if ok { Ok(node) } else { Err(problem) }
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
        key: Option<Key>,
        /// Maps merged by `<<`; explicit keys take precedence, earlier maps
        /// over later ones.
        merged: Vec<Node>,
    },
}

struct Key {
    text: String,
    pos: Pos,
    /// A plain `<<`, whose value is merged into the map.
    merge: bool,
}

/// The size of a node with everything that it contains.
#[derive(Default)]
struct Cost {
    nodes: usize,
    /// Bytes of keys and texts.
    text: usize,
    /// Levels of lists and maps.
    depth: usize,
}

impl Cost {
    fn of(node: &Node) -> Self {
        let mut cost = Self {
            nodes: 1,
            ..Self::default()
        };
        match &node.kind {
            Kind::Text(text) => cost.text = text.len(),
            Kind::List(items) => {
                cost.depth = 1;
                items.iter().for_each(|item| cost.add(&Self::of(item)));
            }
            Kind::Map(map) => {
                cost.depth = 1;
                for (key, entry) in map {
                    cost.text += key.len();
                    cost.add(&Self::of(&entry.value));
                }
            }
            _ => {}
        }
        cost
    }

    fn add(&mut self, inner: &Self) {
        self.nodes += inner.nodes;
        self.text += inner.text;
        self.depth = self.depth.max(inner.depth + 1);
    }
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
    text: usize,
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
                    // The anchor of an open node is unknown, because the node would
                    // contain itself.
                    let Some(node) = self.anchors.get(&anchor) else {
                        return Err(wrong(pos, "An alias refers to a node that contains it."));
                    };
                    let cost = Cost::of(node);
                    if self.stack.len() + cost.depth > MAX_DEPTH {
                        return Err(too_deep(pos));
                    }
                    let mut node = node.clone();
                    self.count(cost.nodes, cost.text, pos)?;
                    node.pos = pos;
                    self.put(node, None)?;
                }
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            }
        }
        Ok(self.root.unwrap_or_default())
    }

    fn count(&mut self, nodes: usize, text: usize, pos: Pos) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(nodes);
        self.text = self.text.saturating_add(text);
        if self.nodes > MAX_NODES {
            return Err(wrong(
                pos,
                format!("The text unfolds to more than {MAX_NODES} values."),
            ));
        }
        if self.text > MAX_TEXT {
            return Err(wrong(
                pos,
                format!("The text unfolds to more than {MAX_TEXT} bytes."),
            ));
        }
        Ok(())
    }

    /// Keeps a copy of an anchored node for its aliases. The copy counts in the budget.
    fn anchor(&mut self, anchor: usize, node: &Node) -> Result<(), Problem> {
        if anchor > 0 {
            let cost = Cost::of(node);
            self.count(cost.nodes, cost.text, node.pos)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(())
    }

    fn open(&mut self, open: Open, pos: Pos, anchor: usize) -> Result<(), Problem> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(too_deep(pos));
        }
        if let Some(Frame {
            open: Open::Map { key: None, .. },
            ..
        }) = self.stack.last()
        {
            return Err(wrong(pos, "A key must be text, not a list or a map."));
        }
        self.count(1, 0, pos)?;
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
                for source in merged {
                    merge(&mut entries, source)?;
                }
                Kind::Map(entries)
            }
        };
        let node = Node {
            pos: frame.pos,
            kind,
        };
        self.anchor(frame.anchor, &node)?;
        self.put(node, None)
    }

    fn scalar(
        &mut self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        pos: Pos,
    ) -> Result<(), Problem> {
        self.count(1, text.len(), pos)?;
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
        self.anchor(anchor, &node)?;
        self.put(node, Some((text.into_owned(), plain)))
    }

    /// Adds a finished node to its parent; `source` is the text of a scalar, and
    /// whether it was written without quotes.
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
                    *key = Some(Key {
                        text,
                        pos: node.pos,
                        merge,
                    });
                }
                Some(key) if key.merge => merged.push(node),
                Some(key) => {
                    let entry = Entry {
                        key_pos: key.pos,
                        value: node,
                    };
                    entries.insert(key.text, entry);
                }
            },
        }
        Ok(())
    }
}

fn merge(entries: &mut IndexMap<String, Entry>, source: Node) -> Result<(), Problem> {
    match source.kind {
        Kind::Map(map) => {
            for (key, entry) in map {
                if let Slot::Vacant(slot) = entries.entry(key) {
                    slot.insert(entry);
                }
            }
            Ok(())
        }
        Kind::List(list) => list.into_iter().try_for_each(|n| merge(entries, n)),
        _ => Err(wrong(
            source.pos,
            "'<<' expects a map or a list of maps to merge.",
        )),
    }
}

fn too_deep(pos: Pos) -> Problem {
    wrong(pos, format!("More than {MAX_DEPTH} levels of nesting."))
}

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
