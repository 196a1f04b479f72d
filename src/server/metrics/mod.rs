//! What the proxy counts, as a Prometheus page: read from the live state when it is asked for, so that there is no
//! second copy of anything. Names and labels are those of docs/observability.md.
//!
//! No session key, path, host or client address is ever a label: all labels are names of the configuration or words of
//! closed sets, so that the configuration bounds the number of series.

mod backends;
mod page;
mod pools;
mod process;
mod proxy;

use crate::clock::Now;
use crate::proxy::Core;
use crate::server::StateStatus;
use page::Page;

/// What the page is to be served as.
pub(crate) use page::CONTENT_TYPE;

/// The page as it is now; `state` is how saving goes, where anything is kept over a restart.
pub(super) fn page(core: &Core, state: Option<&StateStatus>, now: Now) -> String {
    let mut page = Page::default();
    let snapshot = core.snapshot();
    for pool in &snapshot.pools {
        pools::tell(&mut page, pool);
        for backend in &pool.backends {
            backends::tell(&mut page, (pool, backend), now);
        }
    }
    proxy::tell(&mut page, core, &snapshot);
    if let Some(state) = state {
        proxy::tell_state(&mut page, state);
    }
    process::tell(&mut page);
    page.into_text()
}
