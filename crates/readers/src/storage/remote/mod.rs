//! Stores that are asked over the network, through the `object_store` crate.
//!
//! No type of that crate is in a public signature. A [`Remote`] answers when the answer is there, from any thread; behind it,
//! requests run on the threads of one runtime ([`runtime`]).

mod body;
mod connect;
mod listed;
mod runtime;
mod told;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt};

use super::address::{Address, Kind, uri};
use super::file::{CONTENT, File};
use super::listing::Listing;
use super::options::StorageOptions;
use crate::Error;
use body::Body;
use told::Secrets;

/// A bucket, container or server.
pub(super) struct Remote {
    kind: Kind,
    source: String,
    store: Arc<dyn ObjectStore>,
    secrets: Secrets,
}

/// The stores of this process, by their sources: rows of files say which, and not how to reach it.
static KNOWN: Mutex<BTreeMap<String, Arc<Remote>>> = Mutex::new(BTreeMap::new());

/// Lists the files that an address means behind those that are listed already.
pub(super) fn list(address: &Address, options: &StorageOptions, listing: Listing) -> Result<Listing, Error> {
    let remote = Remote::connect(address, options)?;
    let wanted = listed::Wanted::new(address, options)?;
    runtime::wait(address.shown(), async move { listed::list(&remote, &wanted, listing).await })
}

impl Remote {
    /// Makes a store known under its source, in the place of what was known under it.
    fn connect(address: &Address, options: &StorageOptions) -> Result<Arc<Self>, Error> {
        let (store, secrets) = connect::connect(address, options)?;
        let Address { kind, source, .. } = address;
        let remote = Arc::new(Self { kind: *kind, source: source.clone(), store, secrets });
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(source.clone(), Arc::clone(&remote));
        Ok(remote)
    }

    /// The store of a source: the one that is known, or else what the environment says.
    pub(super) fn of(source: &str) -> Result<Arc<Self>, Error> {
        let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(source).cloned();
        match known {
            Some(remote) => Ok(remote),
            None => Self::connect(&Address::parse(&format!("{source}/"))?, &StorageOptions::new()),
        }
    }

    /// Begins to read a file, if it is as it was listed.
    pub(super) fn get(self: Arc<Self>, file: &File) -> Result<Body, Error> {
        let (file, path) = (file.clone(), self.path(&file.path)?);
        runtime::wait(file.uri(), async move {
            let has_tag = !file.etag.starts_with(CONTENT);
            // A weak tag never matches where a condition is asked for (RFC 9110, 13.1.1); the answer's is compared below.
            let is_strong = has_tag && !file.etag.starts_with("W/");
            let options = GetOptions {
                if_match: is_strong.then(|| file.etag.clone()),
                version: file.version.clone(),
                ..GetOptions::default()
            };
            let answer = match self.store.get_opts(&path, options).await {
                Ok(answer) => answer,
                Err(error) if told::is_changed(&error) => return Err(Error::changed(file.uri())),
                Err(error) => return Err(self.error("read", &file.path, &error)),
            };
            let tag = self.tag(&answer.meta);
            if answer.meta.size != file.size || (has_tag && tag.as_ref() != Some(&file.etag)) {
                return Err(Error::changed(file.uri()));
            }
            Ok(Body::new(self, file, answer.into_stream()))
        })
    }

    async fn head(&self, path: &Path) -> Result<Option<ObjectMeta>, Error> {
        match self.store.head(path).await {
            Ok(meta) => Ok(Some(meta)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error("look at", path.as_ref(), &error)),
        }
    }

    /// A path as the store takes it.
    fn path(&self, path: &str) -> Result<Path, Error> {
        Path::parse(path).map_err(|error| Error::Address {
            address: uri(&self.source, path),
            reason: format!("its path is none that can be asked for: {error}"),
        })
    }

    /// The entity tag of a file; Azure's listings leave out the quotes.
    fn tag(&self, meta: &ObjectMeta) -> Option<String> {
        let tag = meta.e_tag.as_ref()?;
        let is_bare = self.kind == Kind::Azure && !tag.contains('"');
        Some(if is_bare { format!("\"{tag}\"") } else { tag.clone() })
    }

    fn error(&self, doing: &str, path: &str, error: &object_store::Error) -> Error {
        let (uri, doing) = (uri(&self.source, path), doing.to_owned());
        Error::Storage { uri, doing, source: Box::new(self.secrets.tell(error)) }
    }
}
