//! Parser: `or` binds weakest, then `and`, then `not`; `@` and the empty text
//! allow, `!` denies.

use super::check::Check;

type Parsed = Result<Check, String>;

/// Maximum nesting depth.
const DEPTH: usize = 64;

pub(super) fn rule(text: &str) -> Parsed {
    let tokens = tokens(text);
    if tokens.is_empty() {
        return Ok(Check::True);
    }
    let mut parser = Parser {
        tokens,
        at: 0,
        depth: 0,
    };
    let check = parser.any()?;
    match parser.peek() {
        None => Ok(check),
        Some(extra) => Err(format!("'{extra}' is not expected here")),
    }
}

/// Tokens: words and single parentheses; `%(name)s` is part of a word.
fn tokens(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for word in text.split_whitespace() {
        let mut rest = word;
        while let Some(inner) = rest.strip_prefix('(') {
            out.push("(".to_owned());
            rest = inner;
        }
        let mut closing = 0;
        while rest.ends_with(')') && rest.matches(')').count() > rest.matches('(').count() {
            rest = &rest[..rest.len() - 1];
            closing += 1;
        }
        if !rest.is_empty() {
            out.push(rest.to_owned());
        }
        out.extend((0..closing).map(|_| ")".to_owned()));
    }
    out
}

struct Parser {
    tokens: Vec<String>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.at).map(String::as_str)
    }

    fn take(&mut self, word: &str) -> bool {
        let there = self.peek().is_some_and(|t| t.eq_ignore_ascii_case(word));
        self.at += usize::from(there);
        there
    }

    fn any(&mut self) -> Parsed {
        let mut list = vec![self.all()?];
        while self.take("or") {
            list.push(self.all()?);
        }
        Ok(if list.len() == 1 {
            list.remove(0)
        } else {
            Check::Any(list)
        })
    }

    fn all(&mut self) -> Parsed {
        let mut list = vec![self.one()?];
        while self.take("and") {
            list.push(self.one()?);
        }
        Ok(if list.len() == 1 {
            list.remove(0)
        } else {
            Check::All(list)
        })
    }

    fn one(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("it is nested too deeply".into());
        }
        let check = self.atom();
        self.depth -= 1;
        check
    }

    fn atom(&mut self) -> Parsed {
        if self.take("not") {
            return Ok(Check::Not(Box::new(self.one()?)));
        }
        if self.take("(") {
            let inner = self.any()?;
            return if self.take(")") {
                Ok(inner)
            } else {
                Err("a ')' is missing".into())
            };
        }
        let Some(word) = self.peek().map(str::to_owned) else {
            return Err("it ends where a check is expected".into());
        };
        self.at += 1;
        match word.as_str() {
            "@" => return Ok(Check::True),
            "!" => return Ok(Check::False),
            "and" | "or" | ")" => return Err(format!("'{word}' is not expected here")),
            _ => {}
        }
        match word.split_once(':') {
            Some(("rule", name)) if !name.is_empty() => Ok(Check::Rule(name.into())),
            Some(("role", name)) if !name.is_empty() => Ok(Check::Role(name.into())),
            Some((left, right)) if !left.is_empty() && !right.is_empty() => Ok(Check::Match {
                left: left.into(),
                right: right.into(),
            }),
            _ => Err(format!(
                "'{word}' is no check; write role:NAME, rule:NAME or KEY:VALUE"
            )),
        }
    }
}
