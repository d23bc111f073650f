//! A machine in memory that can be crashed.
//!
//! Invariants: every operation that changes something is counted, and meets its fault before it has any effect (but
//! for the torn part of an append). What is durable is kept apart from what is visible; a crash makes the visible
//! state anew from the durable one and a part of what came after it.

mod files;
mod random;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::{AppendFile, Os, ReadFile};
use files::{Change, Files, Node, NodeId};
use random::Random;

/// A machine whose files are in memory, and which can be crashed; clones are the same machine.
///
/// ```
/// use std::path::Path;
///
/// use rowmark_os::{Loss, Os, Simulated};
///
/// let machine = Simulated::new();
/// let mut file = machine.create_file(Path::new("a"))?;
/// machine.sync_folder(Path::new(""))?;
/// file.append(b"kept ")?;
/// file.sync()?;
/// file.append(b"lost")?;
///
/// machine.crash(Loss::AllUnsynced);
/// assert_eq!(machine.file_bytes(Path::new("a"))?, 5);
/// assert!(file.sync().is_err(), "whoever had it open is gone");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Simulated {
    machine: Arc<Mutex<Machine>>,
}

/// What an operation of [`Simulated`] meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process dies before it; that and every later operation is an error, until [`Simulated::crash`].
    Die,
    /// As [`Fault::Die`], but the first half of what was to be appended is in the file.
    DieHalfWay,
    /// The disk is full: the operation has no effect.
    NoSpace,
    /// The disk is full, and the first half of what was to be appended is in the file.
    ShortWrite,
    /// The disk does not answer: the operation has no effect.
    Io,
}

/// What a crash takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Nothing: the process was killed, and the machine lives on. What was not synced is lost by the next crash still.
    Nothing,
    /// All that was not synced.
    AllUnsynced,
    /// A part of what was not synced, chosen by this seed.
    Random(u64),
}

#[derive(Debug)]
struct Machine {
    files: Files,
    operations: u64,
    fault: Option<(u64, Fault)>,
    is_dead: bool,
    /// What was opened before the last crash is of no use after it.
    boots: u64,
    are_links_refused: bool,
    now: SystemTime,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            files: Files::default(),
            operations: 0,
            fault: None,
            is_dead: false,
            boots: 0,
            are_links_refused: false,
            now: SystemTime::UNIX_EPOCH,
        }
    }
}

impl Simulated {
    /// Makes a machine with an empty disk, on which it is 1970.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many operations that change something there were so far, failed ones included.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Lets the operation with this number, counted from 1, meet a fault; it takes the place of one set before.
    pub fn fail_at(&self, operation: u64, fault: Fault) {
        self.lock().fault = Some((operation, fault));
    }

    /// Crashes the machine and starts it again. No fault is set then, and no lock is held.
    pub fn crash(&self, loss: Loss) {
        let mut machine = self.lock();
        machine.files.crash(loss);
        machine.boots += 1;
        machine.is_dead = false;
        machine.fault = None;
    }

    /// Behaves from now on as a file system without hard links does.
    pub fn refuse_links(&self) {
        self.lock().are_links_refused = true;
    }

    /// Lets time pass.
    pub fn advance(&self, duration: Duration) {
        self.lock().now += duration;
    }

    /// The bytes of all files that have a name, those with several names counted once.
    #[must_use]
    pub fn bytes_on_disk(&self) -> u64 {
        let machine = self.lock();
        let named: BTreeSet<NodeId> = machine.files.reachable();
        named.iter().filter_map(|id| machine.files.file(*id).ok()).map(|file| file.bytes.len() as u64).sum()
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, node: NodeId, boots: u64, holds_lock: bool) -> Box<Handle> {
        Box::new(Handle { os: self.clone(), node, boots, holds_lock })
    }
}

impl Machine {
    fn check_alive(&self) -> io::Result<()> {
        if self.is_dead { Err(io::Error::other("the process has died")) } else { Ok(()) }
    }

    /// Counts an operation, and answers what it meets.
    fn next_fault(&mut self) -> Option<Fault> {
        self.operations += 1;
        let (_, fault) = self.fault.take_if(|(at, _)| *at == self.operations)?;
        self.is_dead = matches!(fault, Fault::Die | Fault::DieHalfWay);
        Some(fault)
    }

    /// Begins an operation that is whole or has no effect.
    fn begin(&mut self) -> io::Result<()> {
        self.check_alive()?;
        self.next_fault().map_or(Ok(()), |fault| Err(fault.into()))
    }

    fn append(&mut self, node: NodeId, bytes: &[u8]) -> io::Result<()> {
        self.check_alive()?;
        let fault = self.next_fault();
        let written = match fault {
            None => bytes.len(),
            Some(Fault::DieHalfWay | Fault::ShortWrite) => bytes.len() / 2,
            Some(Fault::Die | Fault::NoSpace | Fault::Io) => 0,
        };
        let now = self.now;
        self.files.file_mut(node)?.append(&bytes[..written], now);
        fault.map_or(Ok(()), |fault| Err(fault.into()))
    }

    fn create(&mut self, path: &Path, node: Node) -> io::Result<NodeId> {
        let (parent, name) = self.files.parent(path)?;
        if self.files.folder(parent)?.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.begin()?;
        let id = self.files.add(node);
        self.files.change(Change::new([(parent, name, Some(id))]));
        Ok(id)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.files.parent(path)?;
        self.begin()?;
        self.files.change(Change::new([(parent, name, None)]));
        Ok(())
    }

    /// Each name that goes is an operation of its own.
    fn remove_folder(&mut self, path: &Path) -> io::Result<()> {
        let folder = self.files.find(path)?;
        let names: Vec<String> = self.files.folder(folder)?.keys().cloned().collect();
        for name in names {
            let path = path.join(name);
            match self.files.node(self.files.find(&path)?) {
                Node::Folder(_) => self.remove_folder(&path)?,
                Node::File(_) => self.remove(&path)?,
            }
        }
        self.remove(path)
    }
}

impl Os for Simulated {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.lock().create(path, Node::folder()).map(drop)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let machine = self.lock();
        machine.check_alive()?;
        Ok(machine.files.find(path).is_ok())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let machine = self.lock();
        machine.check_alive()?;
        Ok(machine.files.folder(machine.files.find(path)?)?.keys().cloned().collect())
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        let mut machine = self.lock();
        let now = machine.now;
        let node = machine.create(path, Node::file(now))?;
        machine.files.file_mut(node)?.is_locked = true;
        Ok(self.handle(node, machine.boots, true))
    }

    fn open_file(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        let machine = self.lock();
        machine.check_alive()?;
        let node = machine.files.find(path)?;
        machine.files.file(node)?;
        Ok(self.handle(node, machine.boots, false))
    }

    fn file_bytes(&self, path: &Path) -> io::Result<u64> {
        let machine = self.lock();
        machine.check_alive()?;
        Ok(machine.files.file(machine.files.find(path)?)?.bytes.len() as u64)
    }

    fn modified(&self, path: &Path) -> io::Result<SystemTime> {
        let machine = self.lock();
        machine.check_alive()?;
        Ok(machine.files.file(machine.files.find(path)?)?.modified)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut machine = self.lock();
        let node = machine.files.find(from)?;
        let (from, to) = (machine.files.parent(from)?, machine.files.parent(to)?);
        if let Some(there) = machine.files.folder(to.0)?.get(&to.1) {
            match (machine.files.node(node), machine.files.node(*there)) {
                (Node::File(_), Node::File(_)) => {}
                (Node::Folder(_), Node::Folder(folder)) if folder.is_empty() => {}
                (Node::Folder(_), Node::Folder(_)) => return Err(io::ErrorKind::DirectoryNotEmpty.into()),
                (Node::File(_), Node::Folder(_)) => return Err(io::ErrorKind::IsADirectory.into()),
                (Node::Folder(_), Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
            }
        }
        machine.begin()?;
        machine.files.change(Change::new([(from.0, from.1, None), (to.0, to.1, Some(node))]));
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut machine = self.lock();
        let node = machine.files.find(from)?;
        machine.files.file(node)?;
        let (parent, name) = machine.files.parent(to)?;
        if machine.files.folder(parent)?.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if machine.are_links_refused {
            return Err(io::ErrorKind::Unsupported.into());
        }
        machine.begin()?;
        machine.files.change(Change::new([(parent, name, Some(node))]));
        Ok(())
    }

    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut machine = self.lock();
        let bytes = machine.files.file(machine.files.find(from)?)?.bytes.clone();
        let now = machine.now;
        let node = machine.create(to, Node::file(now))?;
        machine.append(node, &bytes)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut machine = self.lock();
        machine.files.file(machine.files.find(path)?)?;
        machine.remove(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.lock().remove_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut machine = self.lock();
        let folder = machine.files.find(path)?;
        machine.files.folder(folder)?;
        machine.begin()?;
        machine.files.sync_folder(folder);
        Ok(())
    }

    fn now(&self) -> SystemTime {
        self.lock().now
    }
}

/// An open file.
#[derive(Debug)]
struct Handle {
    os: Simulated,
    node: NodeId,
    boots: u64,
    holds_lock: bool,
}

impl Handle {
    fn machine(&self) -> io::Result<MutexGuard<'_, Machine>> {
        let machine = self.os.lock();
        machine.check_alive()?;
        if machine.boots != self.boots {
            return Err(io::Error::other("the machine was restarted"));
        }
        Ok(machine)
    }

    fn sync(&self) -> io::Result<()> {
        let mut machine = self.machine()?;
        machine.begin()?;
        machine.files.file_mut(self.node)?.sync();
        Ok(())
    }
}

impl AppendFile for Handle {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.machine()?.append(self.node, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        Handle::sync(self)
    }
}

impl ReadFile for Handle {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.machine()?.files.file(self.node)?.bytes.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let machine = self.machine()?;
        let bytes = machine.files.file(self.node)?.bytes.get(offset as usize..).unwrap_or_default();
        let bytes = bytes.get(..buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Handle::sync(self)
    }

    fn is_being_written(&self) -> bool {
        self.machine().is_ok_and(|machine| machine.files.file(self.node).is_ok_and(|file| file.is_locked))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut machine = self.os.lock();
        if self.holds_lock
            && machine.boots == self.boots
            && let Ok(file) = machine.files.file_mut(self.node)
        {
            file.is_locked = false;
        }
    }
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Die | Fault::DieHalfWay => Self::other("the process has died"),
            Fault::NoSpace | Fault::ShortWrite => io::ErrorKind::StorageFull.into(),
            Fault::Io => Self::other("the disk does not answer"),
        }
    }
}
