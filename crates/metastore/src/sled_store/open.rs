//! Opening the folder: who may, whether it can be read, and whether all of it is still there.
//!
//! In this order, and each with an error of its own: the folder is made; our lock is taken; sled opens; the format
//! is known; sled has not fallen behind what was acknowledged; every key is there and unchanged, unless the store was
//! closed in good order with just these files. Only then is the store used. Nothing is repaired here but what a killed opening has left half done: a store that fails a check is the
//! caller's to set aside and rebuild.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sled::{Batch, Db};

use super::acknowledged::Acknowledged;
use super::closed::Found;
use super::engine::{Durable, Engine, from_sled, guarded};
use super::keys::{FORMAT, RANGE_STARTS, STATE, is_meta};
use super::state::State;
use crate::{Error, Result};

/// The format of the store: which keys there are and what their values are.
pub(super) const FORMAT_VERSION: u32 = 1;

/// What sled may keep of its file in memory; records are read now and then and need no more.
const CACHE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How long to wait for sled's own lock when nobody holds ours: its threads may still be closing the file that this
/// process had open a moment ago.
const CLOSING_WAIT: Duration = Duration::from_secs(2);
const CLOSING_POLL: Duration = Duration::from_millis(5);

/// What sled needs to be able to write while it opens; tried when it fails, to tell a full disk from damage.
const SPACE_PROBE_BYTES: usize = 1024 * 1024;

/// An open store.
pub(super) struct Opened {
    pub(super) engine: Engine,
    /// It was made just now.
    pub(super) is_new: bool,
    /// It was closed in good order, and nothing has happened to it since.
    pub(super) was_closed: bool,
}

/// Opens a store.
pub(super) fn open(path: &Path) -> Result<Opened> {
    let path = create_folder(path)?;
    let lock = lock(&path)?;
    remove_unfinished(&path).map_err(|source| Error::from_io("tidy", &path, source))?;
    let closed = Found::take(&path).map_err(|source| Error::from_io("tidy", &path, source))?;
    let db = open_sled(&path)?;

    let db_path = path.join("db");
    let db_file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&db_path)
        .map_err(|source| Error::from_io("open", &db_path, source))?;
    let acknowledged_path = path.join("acknowledged");
    let (acknowledged, reading) = Acknowledged::open(&acknowledged_path)
        .map_err(|source| Error::from_io("open", &acknowledged_path, source))?;
    if reading.spoilt {
        let path = acknowledged_path.display();
        tracing::warn!(%path, "a number in this file is damaged; the one before it is used");
    }

    let (state, is_new) = guarded(&path, "check", || check(&path, &db, reading.number, &closed))?;
    let was_closed = !is_new && closed.is(state);
    if is_new {
        sync_folder(&path)?;
    }
    let engine = Engine::new(path, db, state, Durable { sequence: 0, db_file, acknowledged }, lock);
    // Also for a store that was there: a process that died may have left events that were not synced yet.
    engine.make_durable()?;
    Ok(Opened { engine, is_new, was_closed })
}

fn create_folder(path: &Path) -> Result<PathBuf> {
    fs::create_dir_all(path).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            Error::NotAFolder { path: path.to_owned(), source }
        }
        _ => Error::from_io("create", path, source),
    })?;
    // From here on the path is independent of the working directory.
    path.canonicalize().map_err(|source| Error::from_io("open", path, source))
}

fn lock(path: &Path) -> Result<File> {
    let lock_path = path.join("lock");
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&lock_path)
        .map_err(|source| Error::from_io("open", &lock_path, source))?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => {
            Error::InUse { path: path.to_owned(), source: io::ErrorKind::WouldBlock.into() }
        }
        TryLockError::Error(source) => Error::from_io("lock", &lock_path, source),
    })?;
    Ok(lock)
}

/// Removes what an opening that was killed has left, and what sled 0.34.7 would take for whole.
///
/// It writes a snapshot under a name that ends in `.generating`, then renames it; when it looks for the latest one
/// it does not leave such names out, and a half-written file is a corrupt store to it. The snapshot before is still
/// there. Its `conf` is written in two steps, before the `db` file is made.
fn remove_unfinished(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b"snap.") && name.as_encoded_bytes().ends_with(b".generating")
        {
            fs::remove_file(entry.path())?;
        }
    }
    let conf = path.join("conf");
    if conf.exists() && !path.join("db").exists() {
        fs::remove_file(conf)?;
    }
    Ok(())
}

fn open_sled(path: &Path) -> Result<Db> {
    let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES_MAX);
    let mut waited = Duration::ZERO;
    loop {
        let opened = guarded(path, "open", || match config.open() {
            Err(sled::Error::Io(source)) if is_locked(&source) => {
                Err(Error::InUse { path: path.to_owned(), source })
            }
            opened => opened.map_err(|error| from_sled(path, "open", error)),
        });
        match opened {
            Err(Error::InUse { .. }) if waited < CLOSING_WAIT => {
                std::thread::sleep(CLOSING_POLL);
                waited += CLOSING_POLL;
            }
            Err(error) if error.is_damage() => {
                check_space(path)?;
                return Err(error);
            }
            opened => return opened,
        }
    }
}

/// Sled keeps only the text of what its lock answered.
fn is_locked(source: &io::Error) -> bool {
    source.raw_os_error().is_none() && source.to_string().starts_with("could not acquire lock")
}

/// Fails if there is no room to write: sled then panics or answers nonsense, although nothing is damaged.
fn check_space(path: &Path) -> Result<()> {
    let probe_path = path.join("probe");
    let written = fs::write(&probe_path, vec![0; SPACE_PROBE_BYTES]);
    let removed = fs::remove_file(&probe_path);
    written.and(removed).map_err(|source| Error::from_io("write", &probe_path, source))
}

/// Checks what sled has read. Into a tree that is empty, and was not known to hold anything, it writes the format
/// and the first state; the answer then says that the store is new.
fn check(path: &Path, db: &Db, acknowledged: u64, closed: &Found) -> Result<(State, bool)> {
    let get = |key| db.get(key).map_err(|error| from_sled(path, "read", error));
    let damaged = |found| Error::Damaged { path: path.to_owned(), source: Box::new(found) };

    let (format, state) = (get(FORMAT)?, get(STATE)?);
    if format.is_none() && state.is_none() && db.is_empty() && acknowledged == 0 {
        return begin(path, db).map(|state| (state, true));
    }
    let format = format.ok_or_else(|| damaged(Damage::NoFormat { acknowledged }))?;
    let format =
        read_format(&format).ok_or_else(|| damaged(Damage::Unreadable { what: "format version" }))?;
    if format > FORMAT_VERSION {
        return Err(Error::NewerFormat { path: path.to_owned(), found: format, known: FORMAT_VERSION });
    }
    let state = state.and_then(|state| State::from_bytes(&state));
    let state = state.ok_or_else(|| damaged(Damage::Unreadable { what: "state" }))?;
    if state.sequence < acknowledged {
        return Err(damaged(Damage::FallenBehind { acknowledged, found: state.sequence }));
    }

    if closed.is(state) {
        return Ok((state, false)); // it was added up before
    }
    let found = add_up(path, db)?;
    if (found.count, found.digest) != (state.count, state.digest) {
        return Err(damaged(Damage::Changed { count: state.count, found: found.count }));
    }
    Ok((state, false))
}

/// The count and the digest of all keys, which several threads add up.
fn add_up(path: &Path, db: &Db) -> Result<State> {
    let ends = RANGE_STARTS[1..].iter().map(|&start| Bound::Excluded(start)).chain([Bound::Unbounded]);
    std::thread::scope(|scope| {
        let threads: Vec<_> = RANGE_STARTS
            .iter()
            .zip(ends)
            .map(|(&start, end)| (Bound::Included(start), end))
            .map(|range| scope.spawn(move || guarded(path, "check", || add_up_range(path, db, range))))
            .collect();
        threads.into_iter().try_fold(State::default(), |sum, thread| {
            let found = thread.join().expect("a panic of the thread was caught in it")?;
            Ok(sum.and(found))
        })
    })
}

fn add_up_range(path: &Path, db: &Db, range: (Bound<&[u8]>, Bound<&[u8]>)) -> Result<State> {
    let mut found = State::default();
    for entry in db.range::<&[u8], _>(range) {
        let (key, value) = entry.map_err(|error| from_sled(path, "read", error))?;
        if !is_meta(&key) {
            found.add(&key, &value);
        }
    }
    Ok(found)
}

fn begin(path: &Path, db: &Db) -> Result<State> {
    let state = State { sequence: 1, ..State::default() };
    let mut batch = Batch::default();
    batch.insert(FORMAT, &format_bytes(FORMAT_VERSION));
    batch.insert(STATE, &state.to_bytes());
    db.apply_batch(batch).map_err(|error| from_sled(path, "write", error))?;
    Ok(state)
}

/// The version and its CRC-32C, both big-endian.
pub(super) fn format_bytes(version: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&version.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[..4]);
    bytes[4..].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn read_format(bytes: &[u8]) -> Option<u32> {
    let version = u32::from_be_bytes(*bytes.first_chunk()?);
    (version > 0 && bytes == format_bytes(version)).then_some(version)
}

/// Makes the new folder, and the names in it, outlive the machine.
fn sync_folder(path: &Path) -> Result<()> {
    let sync = |path: &Path| {
        File::open(path)
            .and_then(|file| file.sync_all())
            .map_err(|source| Error::from_io("sync", path, source))
    };
    sync(&path.join("conf"))?;
    // Only on Unix can a folder be opened and synced.
    if cfg!(unix) {
        sync(path)?;
        path.parent().map_or(Ok(()), sync)?;
    }
    Ok(())
}

/// What a check of an opened store has found.
#[derive(Debug, thiserror::Error)]
enum Damage {
    #[error(
        "the storage engine came back without a format version, although {acknowledged} changes were acknowledged"
    )]
    NoFormat { acknowledged: u64 },
    #[error("the {what} of the store cannot be read")]
    Unreadable { what: &'static str },
    #[error(
        "the storage engine came back with change {found}, although change {acknowledged} was acknowledged"
    )]
    FallenBehind { acknowledged: u64, found: u64 },
    #[error("the store should hold {count} entries of a known digest, and holds {found} of another")]
    Changed { count: u64, found: u64 },
}
