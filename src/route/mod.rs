//! Routes: from a request's host and path to a pool.

use ahash::AHashMap;

use crate::config::{self, HostPattern, KeySource};
use crate::path::{Unclear, normalised};

/// Finds the route of a request.
#[derive(Debug, Default)]
pub struct Router {
    exact: AHashMap<String, Vec<Route>>,
    /// By the name below which they fit, longest first.
    wildcards: Vec<(String, Vec<Route>)>,
    any: Vec<Route>,
}

/// What a request that fits gets.
#[derive(Debug, Clone)]
pub struct Route {
    /// Path prefix on segment boundaries, normalised.
    pub path: String,
    /// Position of the pool.
    pub pool: usize,
    /// Key sources that replace the pool's; empty: not sticky.
    pub key: Option<Vec<KeySource>>,
}

impl Route {
    /// Whether it takes its requests out of the pool's stickiness.
    pub fn is_not_sticky(&self) -> bool {
        self.key.as_ref().is_some_and(Vec::is_empty)
    }
}

impl Router {
    /// Sorts routes so that the first that fits is the most specific.
    pub fn new(routes: &[config::Route]) -> Self {
        let mut this = Self::default();
        for route in routes {
            let bucket = match &route.host {
                HostPattern::Any => &mut this.any,
                HostPattern::Exact(host) => this.exact.entry(host.clone()).or_default(),
                HostPattern::Wildcard(parent) => this.wildcard(parent),
            };
            bucket.push(Route { path: route.path.clone(), pool: route.pool, key: route.key.clone() });
        }
        this.wildcards.sort_by_key(|(parent, _)| std::cmp::Reverse(parent.len()));
        let wildcards = this.wildcards.iter_mut().map(|(_, routes)| routes);
        for bucket in this.exact.values_mut().chain(wildcards).chain([&mut this.any]) {
            bucket.sort_by_key(|route| std::cmp::Reverse(route.path.len()));
        }
        this
    }

    fn wildcard(&mut self, parent: &str) -> &mut Vec<Route> {
        let known = self.wildcards.iter().position(|(p, _)| p == parent);
        let position = known.unwrap_or_else(|| {
            self.wildcards.push((parent.to_owned(), Vec::new()));
            self.wildcards.len() - 1
        });
        &mut self.wildcards[position].1
    }

    /// The most specific route: exact host before wildcard before any; then the longest path; then the first.
    ///
    /// `host` is lower case and without a port, `path` as it was received. O(routes of the host + wildcards).
    ///
    /// # Errors
    /// The path means different things to different servers, so none of the routes can be said to be its own.
    pub fn find(&self, host: &str, path: &str) -> Result<Option<&Route>, Unclear> {
        let path = &*normalised(path)?;
        let exact = self.exact.get(host).into_iter();
        let wildcards =
            self.wildcards.iter().filter(|(parent, _)| is_below(host, parent)).map(|(_, routes)| routes);
        let mut buckets = exact.chain(wildcards).chain([&self.any]);
        Ok(buckets.find_map(|routes| routes.iter().find(|route| fits(&route.path, path))))
    }
}

/// Whether `host` is a name below `parent`.
fn is_below(host: &str, parent: &str) -> bool {
    host.strip_suffix(parent).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

/// Whether `prefix` covers `path` up to a segment boundary.
fn fits(prefix: &str, path: &[u8]) -> bool {
    let rest = || path.strip_prefix(prefix.as_bytes());
    prefix == "/" || rest().is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(routes: &[(&str, &str)]) -> Router {
        let route = |(pool, (host, path)): (usize, &(&str, &str))| config::Route {
            host: match (host.strip_prefix("*."), *host) {
                (Some(parent), _) => HostPattern::Wildcard(parent.into()),
                (None, "") => HostPattern::Any,
                (None, name) => HostPattern::Exact(name.into()),
            },
            path: (*path).into(),
            pool,
            key: None,
        };
        Router::new(&routes.iter().enumerate().map(route).collect::<Vec<_>>())
    }

    #[test]
    fn the_most_specific_route_wins() {
        let routes =
            [("", "/"), ("", "/game"), ("*.b.c", "/"), ("*.a.b.c", "/"), ("a.b.c", "/game"), ("", "/game/x")];
        let found = router(&routes);
        let pool = |host, path| found.find(host, path).expect("a clear path").map(|route| route.pool);
        assert_eq!(pool("z", "/"), Some(0));
        assert_eq!(pool("z", "/game"), Some(1));
        assert_eq!(pool("z", "/game/7"), Some(1));
        assert_eq!(pool("z", "/game/x/y"), Some(5));
        assert_eq!(pool("z", "/games"), Some(0));
        assert_eq!(pool("a.b.c", "/game/x"), Some(4));
        assert_eq!(pool("a.b.c", "/other"), Some(2));
        assert_eq!(pool("x.a.b.c", "/game"), Some(3));
        assert_eq!(pool("b.c", "/game"), Some(1));
        assert_eq!(pool("xb.c", "/"), Some(0));
    }

    #[test]
    fn nothing_fits_where_no_route_does() {
        assert!(matches!(router(&[("a", "/x")]).find("a", "/"), Ok(None)));
        assert!(matches!(router(&[("a", "/")]).find("b", "/"), Ok(None)));
    }

    #[test]
    fn a_path_is_matched_by_what_it_means() {
        let found = router(&[("", "/"), ("", "/admin"), ("", "/a b/ü")]);
        let pool = |path| found.find("h", path).map(|route| route.map(|route| route.pool));
        for path in ["/admin", "//admin/", "/%61dmin", "/x/../admin", "/./admin/x", "/admin%2Fx", "/%2Fadmin"]
        {
            assert_eq!(pool(path), Ok(Some(1)), "{path}");
        }
        assert_eq!(pool("/a%20b/%c3%bc/x"), Ok(Some(2)));
        for path in ["/admin/../x", "/Admin", "/%2561dmin", "/admin;x", "/admin\\x", "/adminx", "*"] {
            assert_eq!(pool(path), Ok(Some(0)), "{path}");
        }
        assert_eq!(pool("/x/..%2Fadmin"), Err(Unclear::DotSegment));
    }
}
