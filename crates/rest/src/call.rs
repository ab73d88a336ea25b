//! A request to a route, as its handler sees it.

use std::marker::PhantomData;

use bytes::Bytes;
use http::HeaderMap;
use kernel::{Ctx, Error, Result};

use crate::RequestBody;
use crate::version::Negotiated;

/// A request. `S` is the state of the service, `B` the type of the body.
pub struct Call<S, B = ()> {
    pub state: S,
    pub parts: Incoming,
    pub(crate) body: PhantomData<fn() -> B>,
}

/// What a request consists of, apart from the state of the service.
pub struct Incoming {
    pub request_id: String,
    pub headers: HeaderMap,
    pub query: Vec<(String, String)>,
    /// Decoded segments of the path by the names in the template.
    pub params: Vec<(String, String)>,
    /// `scheme://host` for links, without a slash at the end.
    pub base: String,
    /// `None` for services without microversions.
    pub version: Option<Negotiated>,
    /// `None` on public routes.
    pub caller: Option<Ctx>,
    /// Empty if the route has no body.
    pub bytes: Bytes,
}

impl<S, B> Call<S, B> {
    /// The caller.
    ///
    /// # Errors
    /// `Unauthenticated` on public routes.
    pub fn ctx(&self) -> Result<&Ctx> {
        self.parts
            .caller
            .as_ref()
            .ok_or_else(Error::unauthenticated)
    }

    /// A segment of the path.
    ///
    /// # Errors
    /// `Internal` if the template of the route has no such name.
    pub fn param(&self, name: &str) -> Result<&str> {
        let found = self.parts.params.iter().find(|(n, _)| n == name);
        found
            .map(|(_, value)| value.as_str())
            .ok_or_else(|| Error::internal(format!("the path has no parameter {name}")))
    }

    /// The first value of a query parameter.
    #[must_use]
    pub fn asked(&self, name: &str) -> Option<&str> {
        let found = self.parts.query.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A header, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// The minor version of the API that the client asked for; 0 for services
    /// without microversions.
    #[must_use]
    pub fn minor(&self) -> u16 {
        let minor = self.parts.version.as_ref().map_or(0, |v| v.version.minor);
        u16::try_from(minor).unwrap_or(u16::MAX)
    }
}

impl<S, B: RequestBody> Call<S, B> {
    /// Parses the body. A handler calls this after its first policy check if the
    /// OpenStack service does the same, so that the same error is reported first.
    ///
    /// # Errors
    /// Those of [`RequestBody::parse`].
    pub fn body(&self) -> Result<B> {
        B::parse(&self.parts.bytes, &self.parts.headers)
    }
}
