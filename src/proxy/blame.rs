//! What traffic says of a backend: how often it failed in a row. Whether that ejects it is for the health monitor to say.

use http::StatusCode;

use super::Worker;
use crate::backend::Backend;
use crate::pool::Pool;

impl Worker {
    /// An exchange failed by the fault of `backend`.
    pub(super) fn blame(&self, pool: &Pool, backend: &Backend) {
        let most = pool.outlier.consecutive_failures;
        if most > 0 && backend.state.went_wrong() >= most && !backend.state.is_outlier() {
            self.core.health.failed_often(backend.state.id);
        }
    }

    /// `backend` has answered. What a gateway says for a server that it cannot reach, or one that is overloaded says for
    /// itself, counts as a failure; any other answer ends the row.
    pub(super) fn judge(&self, pool: &Pool, backend: &Backend, status: StatusCode) {
        match status {
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                self.blame(pool, backend);
            }
            _ => backend.state.went_well(),
        }
    }
}
