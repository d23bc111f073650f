//! Files and folders, each in two states: as everybody sees it, and as it would be found after a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};
use std::time::SystemTime;

use super::{Loss, Random};

/// A disk writes this much at once.
const SECTOR_BYTES: usize = 512;

pub(super) type NodeId = usize;
pub(super) const ROOT: NodeId = 0;

/// The names in a folder.
pub(super) type Names = BTreeMap<String, NodeId>;

#[derive(Debug)]
pub(super) enum Node {
    File(File),
    /// As everybody sees it.
    Folder(Names),
}

/// Only ever grows.
#[derive(Debug)]
pub(super) struct File {
    pub(super) bytes: Vec<u8>,
    pub(super) modified: SystemTime,
    durable_bytes: usize,
    /// Where each append since the last sync ends.
    appends: Vec<usize>,
    pub(super) is_locked: bool,
}

/// A change of names that happens as a whole or not at all.
#[derive(Debug)]
pub(super) struct Change(Vec<(NodeId, String, Option<NodeId>)>);

impl Change {
    pub(super) fn new(names: impl IntoIterator<Item = (NodeId, String, Option<NodeId>)>) -> Self {
        Self(names.into_iter().collect())
    }

    fn folders(&self) -> impl Iterator<Item = NodeId> {
        self.0.iter().map(|(folder, ..)| *folder)
    }
}

#[derive(Debug)]
pub(super) struct Files {
    nodes: Vec<Node>,
    /// The names that are durable, by folder.
    durable: BTreeMap<NodeId, Names>,
    /// What has happened to names since, in its order.
    unsynced: Vec<Change>,
}

impl Default for Files {
    fn default() -> Self {
        Self { nodes: vec![Node::folder()], durable: BTreeMap::new(), unsynced: Vec::new() }
    }
}

impl Node {
    pub(super) fn file(now: SystemTime) -> Self {
        let (bytes, appends) = Default::default();
        Self::File(File { bytes, modified: now, durable_bytes: 0, appends, is_locked: false })
    }

    pub(super) fn folder() -> Self {
        Self::Folder(Names::new())
    }
}

impl File {
    pub(super) fn append(&mut self, bytes: &[u8], now: SystemTime) {
        self.modified = now;
        self.bytes.extend_from_slice(bytes);
        self.appends.push(self.bytes.len());
    }

    pub(super) fn sync(&mut self) {
        self.durable_bytes = self.bytes.len();
        self.appends.clear();
    }

    /// Loses what was not synced, or a random part of it.
    fn crash(&mut self, random: Option<&mut Random>) {
        let Some(random) = random else {
            self.bytes.truncate(self.durable_bytes);
            return self.sync();
        };
        let whole = random.below(self.appends.len() + 1);
        if whole < self.appends.len() {
            let start = if whole == 0 { self.durable_bytes } else { self.appends[whole - 1] };
            let torn = random.below(self.appends[whole] - start + 1);
            self.bytes.truncate(start + torn);
            for sector in self.bytes[start..].chunks_mut(SECTOR_BYTES) {
                if random.below(4) == 0 {
                    sector.fill(0);
                }
            }
        }
        self.sync();
    }
}

impl Files {
    pub(super) fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    pub(super) fn file(&self, id: NodeId) -> io::Result<&File> {
        match &self.nodes[id] {
            Node::File(file) => Ok(file),
            Node::Folder(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn file_mut(&mut self, id: NodeId) -> io::Result<&mut File> {
        match &mut self.nodes[id] {
            Node::File(file) => Ok(file),
            Node::Folder(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn folder(&self, id: NodeId) -> io::Result<&Names> {
        match &self.nodes[id] {
            Node::Folder(names) => Ok(names),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<NodeId> {
        let mut node = ROOT;
        for component in path.components() {
            node = match component {
                Component::RootDir | Component::CurDir | Component::Prefix(_) => node,
                Component::ParentDir => return Err(io::ErrorKind::InvalidInput.into()),
                Component::Normal(name) => {
                    let name = name.to_str().ok_or(io::ErrorKind::InvalidInput)?;
                    *self.folder(node)?.get(name).ok_or(io::ErrorKind::NotFound)?
                }
            };
        }
        Ok(node)
    }

    /// The folder that a path is in, and its name there.
    pub(super) fn parent(&self, path: &Path) -> io::Result<(NodeId, String)> {
        let (parent, name) = path.parent().zip(path.file_name()).ok_or(io::ErrorKind::InvalidInput)?;
        let parent = self.find(parent)?;
        self.folder(parent)?;
        Ok((parent, name.to_str().ok_or(io::ErrorKind::InvalidInput)?.to_owned()))
    }

    pub(super) fn reachable(&self) -> BTreeSet<NodeId> {
        let (mut reached, mut next) = (BTreeSet::from([ROOT]), vec![ROOT]);
        while let Some(node) = next.pop() {
            if let Node::Folder(names) = &self.nodes[node] {
                next.extend(names.values().filter(|child| reached.insert(**child)));
            }
        }
        reached
    }

    /// Changes names for everybody, not yet durably.
    pub(super) fn change(&mut self, change: Change) {
        for (folder, name, node) in &change.0 {
            if let Node::Folder(names) = &mut self.nodes[*folder] {
                set(names, name, *node);
            }
        }
        self.unsynced.push(change);
    }

    /// Makes the changes of a folder durable, and what must have happened before them elsewhere.
    pub(super) fn sync_folder(&mut self, folder: NodeId) {
        let mut folders = BTreeSet::from([folder]);
        let mut kept = Vec::new();
        for change in std::mem::take(&mut self.unsynced).into_iter().rev() {
            if change.folders().any(|touched| folders.contains(&touched)) {
                folders.extend(change.folders());
                kept.push(change);
            } else {
                self.unsynced.push(change);
            }
        }
        self.unsynced.reverse();
        for change in kept.iter().rev() {
            self.make_durable(change);
        }
    }

    /// Ends all locks, and goes back to what is durable and a part of what came after it.
    pub(super) fn crash(&mut self, loss: Loss) {
        for node in &mut self.nodes {
            if let Node::File(file) = node {
                file.is_locked = false;
            }
        }
        let mut random = match loss {
            // What is not durable stays so, for the next crash.
            Loss::Nothing => return,
            Loss::AllUnsynced => None,
            Loss::Random(seed) => Some(Random(seed)),
        };
        // Each folder keeps the first part of its changes; a change of two folders is in both or in none.
        let mut cut = BTreeSet::new();
        for change in std::mem::take(&mut self.unsynced) {
            let is_kept = random.as_mut().is_some_and(|random| random.below(4) > 0);
            if is_kept && !change.folders().any(|folder| cut.contains(&folder)) {
                self.make_durable(&change);
            } else {
                cut.extend(change.folders());
            }
        }
        for (id, node) in self.nodes.iter_mut().enumerate() {
            match node {
                Node::Folder(names) => *names = self.durable.get(&id).cloned().unwrap_or_default(),
                Node::File(file) => file.crash(random.as_mut()),
            }
        }
    }

    fn make_durable(&mut self, change: &Change) {
        for (folder, name, node) in &change.0 {
            set(self.durable.entry(*folder).or_default(), name, *node);
        }
    }
}

fn set(names: &mut Names, name: &str, node: Option<NodeId>) {
    match node {
        Some(node) => names.insert(name.to_owned(), node),
        None => names.remove(name),
    };
}
