//! The directory that holds the file: one process at a time, and the file in it is a whole one at every moment.
//! Blocking; not for threads that carry traffic.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Broken, Saved, Written, read};

const FILE: &str = "homing.state";
/// What is being written; it takes the file's place when it is whole.
const NEXT: &str = "homing.state.next";
/// A file that was refused; the last one.
const BROKEN: &str = "homing.state.broken";
const LOCK: &str = "homing.lock";
/// Group and others may write.
const WRITABLE: u32 = 0o022;
/// Between two looks whether another process has gone.
const LOOK: Duration = Duration::from_millis(50);
/// Octets written at one time.
const BUFFER: usize = 256 << 10;

/// A directory that is this process's alone until this is dropped.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    _lock: File,
}

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system does not let it be used.
    #[error("cannot use the state directory: {doing} {path}: {source}", path = path.display())]
    System {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Whoever may write there could bind sessions to a backend of their choice.
    #[error("others can write to the state directory {path}: `chmod go-w` it", path = .0.display())]
    Open(PathBuf),
    /// Another process uses it.
    #[error("the state directory {path} is in use by another proxy{by}", path = path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Which process that is, if it has said so.
        by: String,
    },
}

/// Why a state was not saved. The file is as it was.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {path}: {source}", path = path.display())]
pub struct SaveError {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// What was found in a directory.
#[derive(Debug)]
pub enum Found {
    /// No file.
    Nothing,
    /// What it says.
    Saved(Saved),
    /// It is not to be trusted, and has been put aside.
    Refused {
        /// Why.
        why: Broken,
        /// Where it is now.
        aside: PathBuf,
    },
}

impl Directory {
    /// Opens a directory, makes it if it is not there, and waits at most so long until no other process has it.
    ///
    /// # Errors
    /// It cannot be used: see [`OpenError`].
    pub fn open(path: &Path, patience: Duration) -> Result<Self, OpenError> {
        let failed = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::System { doing, path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("cannot make", path))?;
        let mode = fs::metadata(path).map_err(failed("cannot look at", path))?.permissions().mode();
        if mode & WRITABLE != 0 {
            return Err(OpenError::Open(path.to_owned()));
        }
        let lock = lock(path, patience)?;
        let this = Self { path: path.to_owned(), _lock: lock };
        // Better to hear of it now than from the first save; and what a crash left goes.
        let next = this.path.join(NEXT);
        create(&next).and_then(|_| fs::remove_file(&next)).map_err(failed("cannot write", &next))?;
        Ok(this)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file. One that is not to be trusted is put aside, so that the next save does not destroy it.
    ///
    /// # Errors
    /// It cannot be read, or not be put aside; then it is as it was.
    pub fn load(&self) -> Result<Found, OpenError> {
        let path = self.path.join(FILE);
        let failed = |doing| {
            let path = path.clone();
            move |source| OpenError::System { doing, path, source }
        };
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            other => other.map_err(failed("cannot read"))?,
        };
        match read(BufReader::with_capacity(BUFFER, file)) {
            Ok(saved) => Ok(Found::Saved(saved)),
            Err(Broken::Unreadable(error)) => Err(failed("cannot read")(error)),
            Err(why) => {
                let aside = self.path.join(BROKEN);
                fs::rename(&path, &aside).map_err(failed("cannot put aside"))?;
                Ok(Found::Refused { why, aside })
            }
        }
    }

    /// Replaces the file by what `write` writes. Whoever looks, and whatever happens meanwhile, sees the former file or
    /// the new one.
    ///
    /// # Errors
    /// It cannot be written; then the former file is still there.
    pub fn save(
        &self,
        write: impl FnOnce(BufWriter<File>) -> io::Result<(BufWriter<File>, Written)>,
    ) -> Result<Written, SaveError> {
        let next = self.path.join(NEXT);
        let saved = self.replace(&next, write);
        if saved.is_err() {
            // It may not even be there.
            let _ = fs::remove_file(&next);
        }
        saved
    }

    fn replace(
        &self,
        next: &Path,
        write: impl FnOnce(BufWriter<File>) -> io::Result<(BufWriter<File>, Written)>,
    ) -> Result<Written, SaveError> {
        let failed = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| SaveError { doing, path, source }
        };
        let file = create(next).map_err(failed("cannot create", next))?;
        let (out, written) =
            write(BufWriter::with_capacity(BUFFER, file)).map_err(failed("cannot write", next))?;
        let file = out.into_inner().map_err(|error| failed("cannot write", next)(error.into_error()))?;
        file.sync_all().map_err(failed("cannot bring to disk", next))?;
        let path = self.path.join(FILE);
        fs::rename(next, &path).map_err(failed("cannot replace", &path))?;
        let directory = File::open(&self.path).and_then(|directory| directory.sync_all());
        directory.map_err(failed("cannot bring to disk", &self.path))?;
        Ok(written)
    }
}

/// For the owner's eyes only: it has the seed of fingerprints in it.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn lock(directory: &Path, patience: Duration) -> Result<File, OpenError> {
    let path = directory.join(LOCK);
    let failed = |source| OpenError::System { doing: "cannot lock", path: path.clone(), source };
    let opened =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = opened.map_err(failed)?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) => return Err(failed(error)),
            Err(TryLockError::WouldBlock) if begun.elapsed() < patience => std::thread::sleep(LOOK),
            Err(TryLockError::WouldBlock) => {
                let by = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<u32>().ok());
                let by = by.map(|by| format!(", process {by}")).unwrap_or_default();
                return Err(OpenError::InUse { path: directory.to_owned(), by });
            }
        }
    }
    // For people only, so that it may fail.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}
