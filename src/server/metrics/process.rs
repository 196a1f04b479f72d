//! Figures of the process as the system tells them, under the names that Prometheus' own libraries give them. Where
//! there is no `/proc` they are left out.

use super::page::Page;

#[cfg(not(target_os = "linux"))]
pub(super) fn tell(_: &mut Page) {}

#[cfg(target_os = "linux")]
pub(super) fn tell(page: &mut Page) {
    // What cannot be read is left out: nobody's work depends on it.
    if let Ok(figures) = linux::read() {
        linux::tell(page, &figures);
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use procfs::process::{LimitValue, Process};
    use procfs::{ProcResult, boot_time_secs, page_size, ticks_per_second};

    use super::super::page::{About, Page};

    static CPU: About =
        About::counter("process_cpu_seconds_total", &[], "Processor time of the process, user and system.");
    static RESIDENT: About =
        About::gauge("process_resident_memory_bytes", &[], "Memory of the process that is in RAM.");
    static OPEN: About = About::gauge("process_open_fds", &[], "Open file descriptors.");
    static MAX: About = About::gauge("process_max_fds", &[], "File descriptors that the process may open.");
    static START: About =
        About::gauge("process_start_time_seconds", &[], "When the process began, in Unix time.");

    pub(super) struct Figures {
        cpu_seconds: f64,
        resident: u64,
        open: usize,
        max: u64,
        started: f64,
    }

    pub(super) fn read() -> ProcResult<Figures> {
        let me = Process::myself()?;
        let (stat, limits) = (me.stat()?, me.limits()?);
        let ticks = ticks_per_second() as f64;
        Ok(Figures {
            cpu_seconds: (stat.utime + stat.stime) as f64 / ticks,
            resident: stat.rss * page_size(),
            open: me.fd_count()?,
            max: match limits.max_open_files.soft_limit {
                LimitValue::Value(most) => most,
                LimitValue::Unlimited => u64::MAX,
            },
            started: boot_time_secs()? as f64 + stat.starttime as f64 / ticks,
        })
    }

    pub(super) fn tell(page: &mut Page, figures: &Figures) {
        page.number(&CPU, &[], figures.cpu_seconds);
        page.count(&RESIDENT, &[], figures.resident);
        page.count(&OPEN, &[], figures.open as u64);
        page.count(&MAX, &[], figures.max);
        page.number(&START, &[], figures.started);
    }
}
