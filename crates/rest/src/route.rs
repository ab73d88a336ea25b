//! One row of a route table: method, path, policy, query, types of the request
//! and of the answer, handler.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use axum::response::Response;
use http::Method;
use kernel::{Result, Rule};
use schemars::{Schema, SchemaGenerator};

use crate::{Answer, Call, Incoming, Microversion, RequestBody};

/// Who may use a route.
#[derive(Debug, Clone, Copy)]
pub enum Access {
    /// All callers, without a token. The text says why.
    Public(&'static str),
    /// All callers with a valid token. The text says what limits the answer.
    AnyToken(&'static str),
    /// Callers that this rule allows. The handler checks it against the object;
    /// a successful answer without that check is an internal error.
    Rule(&'static Rule),
    /// The handler authenticates by other means, which the text names.
    Own(&'static str),
}

impl From<&'static Rule> for Access {
    fn from(rule: &'static Rule) -> Self {
        Self::Rule(rule)
    }
}

/// gophercloud sends filters of a map by their names, and the map itself under this name.
const REPEATED: &str = "-";

/// The values that a query parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamKind {
    Text,
    Integer,
    /// An integer of at least 1.
    Positive,
    Boolean,
    /// One of these words.
    Words(&'static [&'static str]),
}

/// The comparisons of Keystone, as `name__contains`; those with `i` ignore case.
const COMPARISONS: &[&str] = &[
    "contains",
    "icontains",
    "startswith",
    "istartswith",
    "endswith",
    "iendswith",
];

/// A query parameter.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    pub name: &'static str,
    pub kind: ParamKind,
    pub about: &'static str,
    /// Whether `name__contains` and the other comparisons of Keystone are
    /// accepted, too.
    pub comparable: bool,
}

impl Param {
    #[must_use]
    pub const fn text(name: &'static str, about: &'static str) -> Self {
        Self::new(name, ParamKind::Text, about)
    }

    #[must_use]
    pub const fn integer(name: &'static str, about: &'static str) -> Self {
        Self::new(name, ParamKind::Integer, about)
    }

    #[must_use]
    pub const fn positive(name: &'static str, about: &'static str) -> Self {
        Self::new(name, ParamKind::Positive, about)
    }

    #[must_use]
    pub const fn boolean(name: &'static str, about: &'static str) -> Self {
        Self::new(name, ParamKind::Boolean, about)
    }

    #[must_use]
    pub const fn words(
        name: &'static str,
        words: &'static [&'static str],
        about: &'static str,
    ) -> Self {
        Self::new(name, ParamKind::Words(words), about)
    }

    const fn new(name: &'static str, kind: ParamKind, about: &'static str) -> Self {
        Self {
            name,
            kind,
            about,
            comparable: false,
        }
    }

    /// Accepts the comparisons, too.
    #[must_use]
    pub const fn comparable(mut self) -> Self {
        self.comparable = true;
        self
    }

    fn accepts(&self, name: &str) -> bool {
        if name == self.name {
            return true;
        }
        let compared = name.split_once("__");
        let known = |(field, how)| field == self.name && COMPARISONS.contains(&how);
        self.comparable && compared.is_some_and(known)
    }
}

/// Everything about a route that does not depend on its types.
#[derive(Debug, Clone)]
pub struct RouteInfo {
    pub method: Method,
    /// The template below the service's prefix, such as `/v3/users/{user_id}`.
    pub path: &'static str,
    pub access: Access,
    /// One sentence.
    pub about: &'static str,
    /// Lists of parameters; others are refused.
    pub query: &'static [&'static [Param]],
    /// The first microversion that has the route.
    pub since: Option<Microversion>,
    /// Whether the answer has the headers of the microversion.
    pub versioned: bool,
    /// Whether access rules need not permit it.
    pub without_access_rules: bool,
    /// Status of the successful answer.
    pub status: u16,
    /// See [`Answer::OTHER_STATUS`].
    pub other_status: Option<u16>,
    pub has_body: bool,
    /// The longest body, bytes; `None`: that of the service.
    pub body_limit: Option<usize>,
    pub(crate) body: fn(&mut SchemaGenerator) -> Option<Schema>,
    pub(crate) answer: fn(&mut SchemaGenerator) -> Option<Schema>,
}

impl RouteInfo {
    /// The first query parameter that the route does not have.
    pub(crate) fn unknown_param<'a>(&self, query: &'a [(String, String)]) -> Option<&'a str> {
        let known = |name: &str| {
            if name == REPEATED {
                return true;
            }
            let mut all = self.query.iter().flat_map(|list| list.iter());
            all.any(|p| p.accepts(name))
        };
        let names = query.iter().map(|(name, _)| name.as_str());
        names.into_iter().find(|name| !known(name))
    }
}

pub(crate) type Running = Pin<Box<dyn Future<Output = Result<Response>> + Send>>;
pub(crate) type Run<S> = Arc<dyn Fn(S, Incoming) -> Running + Send + Sync>;

/// A row of a route table.
///
/// Who may use it is an argument without a default, so a route without a policy
/// does not compile:
///
/// ```
/// # use rest::{Access, Call, NoContent};
/// # async fn handler(_: Call<u32>) -> kernel::Result<NoContent> { Ok(NoContent) }
/// rest::get("/things", Access::Public("For all."), "List things.", handler);
/// ```
///
/// ```compile_fail
/// # use rest::{Access, Call, NoContent};
/// # async fn handler(_: Call<u32>) -> kernel::Result<NoContent> { Ok(NoContent) }
/// rest::get("/things", "List things.", handler);
/// ```
pub struct Route<S> {
    pub(crate) info: RouteInfo,
    pub(crate) run: Run<S>,
}

impl<S: Send + 'static> Route<S> {
    /// A route of any method. `about` is one sentence for the API documents.
    pub fn new<B, A, F, Fut>(
        method: Method,
        path: &'static str,
        access: impl Into<Access>,
        about: &'static str,
        handler: F,
    ) -> Self
    where
        B: RequestBody + 'static,
        A: Answer + 'static,
        F: Fn(Call<S, B>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<A>> + Send + 'static,
    {
        let info = RouteInfo {
            method,
            path,
            access: access.into(),
            about,
            query: &[],
            since: None,
            versioned: true,
            without_access_rules: false,
            status: A::STATUS,
            other_status: A::OTHER_STATUS,
            has_body: B::EXPECTED,
            body_limit: B::LIMIT,
            body: B::schema,
            answer: A::schema,
        };
        let run: Run<S> = Arc::new(move |state, parts| {
            let answered = handler(Call {
                state,
                parts,
                body: PhantomData,
            });
            Box::pin(async move { answered.await?.write() })
        });
        Self { info, run }
    }

    /// Adds query parameters.
    #[must_use]
    pub fn query(mut self, query: &'static [&'static [Param]]) -> Self {
        self.info.query = query;
        self
    }

    /// Sets the first microversion that has the route.
    #[must_use]
    pub fn since(mut self, major: u32, minor: u32) -> Self {
        self.info.since = Some(Microversion::new(major, minor));
        self
    }

    /// Permits the route to all tokens, whatever their access rules are.
    #[must_use]
    pub fn without_access_rules(mut self) -> Self {
        self.info.without_access_rules = true;
        self
    }

    /// Omits the headers of the microversion, as for a document that lists
    /// versions.
    #[must_use]
    pub fn unversioned(mut self) -> Self {
        self.info.versioned = false;
        self
    }
}

macro_rules! methods {
    ($($name:ident $method:ident),*) => {$(
        /// A route of this method; see [`Route::new`].
        pub fn $name<S, B, A, F, Fut>(
            path: &'static str,
            access: impl Into<Access>,
            about: &'static str,
            handler: F,
        ) -> Route<S>
        where
            S: Send + 'static,
            B: RequestBody + 'static,
            A: Answer + 'static,
            F: Fn(Call<S, B>) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<A>> + Send + 'static,
        {
            Route::new(Method::$method, path, access, about, handler)
        }
    )*};
}

methods!(get GET, head HEAD, post POST, put PUT, patch PATCH, delete DELETE);
