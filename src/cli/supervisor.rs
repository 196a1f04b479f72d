//! What the service manager is told, where one has started the process and wants to know (`NOTIFY_SOCKET`).

use sd_notify::NotifyState;

/// Everybody who connects from now on is served.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The file is read again, until [`ready`] is told.
pub(super) fn reloading() {
    // Which of several reloads is over, systemd knows by the time.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "the service manager is not told of a reload"),
    }
}

/// It ends.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager cannot be told how it goes");
    }
}
