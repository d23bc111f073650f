//! How the batches of new segments are stored.

use crate::file::Needs;

/// How a warehouse stores the batches that are written through it; what is there already stays as it is.
///
/// A table may hold batches of several kinds. Each is read by any program that is built with the feature.
///
/// ```
/// # #[cfg(feature = "lz4")] {
/// use rowmark_warehouse::{Compression, FileWarehouse};
///
/// # let folder = tempfile::tempdir()?;
/// let warehouse = FileWarehouse::open(folder.path())?.with_compression(Compression::Lz4);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// As LZ4 frames: about as fast as the disk.
    #[cfg(feature = "lz4")]
    Lz4,
    /// With Zstandard: smaller and slower.
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Compression {
    /// What a reader of such batches needs.
    pub(crate) fn needs(self) -> Needs {
        match self {
            Self::None => Needs::NOTHING,
            #[cfg(feature = "lz4")]
            Self::Lz4 => Needs::LZ4,
            #[cfg(feature = "zstd")]
            Self::Zstd => Needs::ZSTD,
        }
    }
}
