//! A service: its route table with the dialect and the settings of all routes.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::Method;
use kernel::{Error, Result};

use crate::route::{Route, RouteInfo, Running};
use crate::version::Negotiator;
use crate::{Access, Authenticator, Dialect, Incoming};

/// Settings of all routes of a service.
#[derive(Clone)]
pub struct Settings {
    /// The name in metrics and in the API documents.
    pub name: &'static str,
    /// The prefix of all paths, such as `/identity`; may be empty.
    pub prefix: &'static str,
    pub dialect: Arc<dyn Dialect>,
    /// The type in the catalogue, by which access rules name the service. Without it, no
    /// token with access rules can be used.
    pub service_type: Option<&'static str>,
    /// `None` only if no route needs a token.
    pub authenticator: Option<Arc<dyn Authenticator>>,
    /// Whether unknown paths also answer 401 to a caller without a token, as in
    /// services whose middleware authenticates.
    pub token_before_path: bool,
    pub versions: Option<&'static Negotiator>,
    /// Whether HEAD is served by the handlers of GET.
    pub head: bool,
    /// The longest body, bytes.
    pub body_limit: usize,
    /// The value of `Vary` of all answers that have none.
    pub vary: Option<&'static str>,
    /// Changes a path, without the prefix, to the one of the route table.
    pub normalize: fn(&str) -> Cow<'_, str>,
}

impl Settings {
    /// Settings of a service without microversions.
    pub fn new(name: &'static str, prefix: &'static str, dialect: Arc<dyn Dialect>) -> Self {
        Self {
            name,
            prefix,
            dialect,
            service_type: None,
            authenticator: None,
            token_before_path: false,
            versions: None,
            head: true,
            body_limit: crate::body::LIMIT,
            vary: None,
            normalize: |path| Cow::Borrowed(path),
        }
    }
}

/// A route with its state, and what has been counted for it.
pub(crate) struct Endpoint {
    pub(crate) info: RouteInfo,
    run: Box<dyn Fn(Incoming) -> Running + Send + Sync>,
    /// Answers by the first digit of their status.
    answered: [AtomicU64; 6],
    micros: AtomicU64,
}

impl Endpoint {
    pub(crate) fn run(&self, parts: Incoming) -> Running {
        (self.run)(parts)
    }

    pub(crate) fn count(&self, status: u16, micros: u64) {
        let class = usize::from(status / 100).min(self.answered.len() - 1);
        self.answered[class].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }
}

/// The endpoints of one path.
pub(crate) struct Resource {
    pub(crate) endpoints: Vec<Endpoint>,
}

impl Resource {
    /// The endpoint of a method; HEAD may be served by GET.
    pub(crate) fn endpoint(&self, method: &Method, head: bool) -> Option<&Endpoint> {
        let of = |method: &Method| self.endpoints.iter().find(|e| e.info.method == *method);
        of(method).or_else(|| {
            (head && *method == Method::HEAD)
                .then(|| of(&Method::GET))
                .flatten()
        })
    }

    /// Whether all endpoints are public.
    pub(crate) fn is_public(&self) -> bool {
        let mut all = self.endpoints.iter();
        all.all(|e| matches!(e.info.access, Access::Public(_) | Access::Own(_)))
    }

    /// The value of `Allow`.
    pub(crate) fn allow(&self, head: bool) -> String {
        let mut names: Vec<&str> = self
            .endpoints
            .iter()
            .map(|e| e.info.method.as_str())
            .collect();
        if head && names.contains(&"GET") {
            names.push("HEAD");
        }
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    }
}

/// A service with its routes.
pub struct Service {
    pub(crate) settings: Settings,
    pub(crate) paths: matchit::Router<usize>,
    pub(crate) resources: Vec<Resource>,
}

/// What one route has answered.
#[derive(Debug, Clone)]
pub struct RouteFigures {
    pub service: &'static str,
    pub method: String,
    pub path: &'static str,
    /// By the first digit of the status.
    pub answered: [u64; 6],
    /// Time in the handler and in rendering, microseconds.
    pub micros: u64,
}

impl Service {
    /// Binds a route table to the state of the service.
    ///
    /// # Errors
    /// `Internal` if two routes are the same, if a path is malformed, or if a
    /// route needs a token and the service has no authenticator.
    pub fn new<S>(settings: Settings, state: S, routes: Vec<Route<S>>) -> Result<Self>
    where
        S: Clone + Send + Sync + 'static,
    {
        let mut service = Self {
            settings,
            paths: matchit::Router::new(),
            resources: Vec::new(),
        };
        for route in routes {
            service.add(state.clone(), route)?;
        }
        Ok(service)
    }

    fn add<S>(&mut self, state: S, route: Route<S>) -> Result<()>
    where
        S: Clone + Send + Sync + 'static,
    {
        let Route { info, run } = route;
        let place = |why: &str| Error::internal(format!("{} {}: {why}", info.method, info.path));
        let needs_token = matches!(info.access, Access::AnyToken(_) | Access::Rule(_));
        if needs_token && self.settings.authenticator.is_none() {
            return Err(place("the service has no authenticator"));
        }
        let at = match self.paths.at(info.path).ok().map(|m| *m.value) {
            Some(at) if self.resources[at].endpoints[0].info.path == info.path => at,
            _ => {
                let at = self.resources.len();
                self.paths
                    .insert(info.path, at)
                    .map_err(|e| place(&e.to_string()))?;
                self.resources.push(Resource {
                    endpoints: Vec::new(),
                });
                at
            }
        };
        let resource = &mut self.resources[at];
        if resource.endpoint(&info.method, false).is_some() {
            return Err(place("the route exists twice"));
        }
        resource.endpoints.push(Endpoint {
            run: Box::new(move |parts| run(state.clone(), parts)),
            info,
            answered: Default::default(),
            micros: AtomicU64::new(0),
        });
        Ok(())
    }

    /// All routes, in the order of the table.
    pub fn routes(&self) -> impl Iterator<Item = &RouteInfo> {
        let all = self.resources.iter().flat_map(|r| &r.endpoints);
        all.map(|endpoint| &endpoint.info)
    }

    /// What the routes have answered.
    pub fn figures(&self) -> impl Iterator<Item = RouteFigures> {
        let all = self.resources.iter().flat_map(|r| &r.endpoints);
        all.map(|endpoint| RouteFigures {
            service: self.settings.name,
            method: endpoint.info.method.to_string(),
            path: endpoint.info.path,
            answered: std::array::from_fn(|i| endpoint.answered[i].load(Ordering::Relaxed)),
            micros: endpoint.micros.load(Ordering::Relaxed),
        })
    }
}
