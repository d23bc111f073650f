//! Which files are meant: by a path, a list, a folder or a pattern.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Error;

/// Endings of compressed files, behind that of the format.
const COMPRESSED: [&str; 2] = ["gz", "zst"];

/// The files that a reader is to read: one, a list, a folder or a pattern.
///
/// - A path of a file is that file, whatever its name ends with.
/// - A folder is every file below it whose name ends as the format's do, in the order of their paths. Names that begin
///   with a dot or an underscore are passed over, as the marks that other programs leave are.
/// - A pattern (`*`, `**`, `?`, `[a-z]`) is every file that it matches, in the order of their paths; a dot at the
///   beginning of a name is matched by a dot alone.
/// - A list is each of these, in the order of the list.
///
/// ```
/// use rowmark_readers::{CsvOptions, CsvSource, Source};
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// # for (name, town) in [("a.csv", "Bern"), ("b.csv", "Biel")] {
/// #     std::fs::write(folder.join(name), format!("name\n{town}\n"))?;
/// # }
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Town { name: String }
///
/// let open = |files: rowmark_readers::Files| CsvSource::<Town>::open(files, CsvOptions::new());
/// assert_eq!(open(folder.join("a.csv").into())?.rows()?, 1);
/// assert_eq!(open(folder.into())?.rows()?, 2);
/// assert_eq!(open(folder.join("*.csv").into())?.rows()?, 2);
/// assert_eq!(open(vec![folder.join("b.csv"), folder.join("a.csv")].into())?.rows()?, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files(Vec<PathBuf>);

impl<P: AsRef<Path> + ?Sized> From<&P> for Files {
    fn from(path: &P) -> Self {
        Self(vec![path.as_ref().to_owned()])
    }
}

impl From<PathBuf> for Files {
    fn from(path: PathBuf) -> Self {
        Self(vec![path])
    }
}

impl From<String> for Files {
    fn from(path: String) -> Self {
        Self(vec![path.into()])
    }
}

impl<P: Into<PathBuf>> From<Vec<P>> for Files {
    fn from(paths: Vec<P>) -> Self {
        Self(paths.into_iter().map(Into::into).collect())
    }
}

impl<P: Into<PathBuf>, const N: usize> From<[P; N]> for Files {
    fn from(paths: [P; N]) -> Self {
        Self(paths.into_iter().map(Into::into).collect())
    }
}

impl Files {
    /// The list as it was given.
    pub(crate) fn given(&self) -> &[PathBuf] {
        &self.0
    }

    /// The paths that are meant, those in a folder by their endings.
    pub(crate) fn find(&self, extensions: &[&str]) -> Result<Vec<PathBuf>, Error> {
        let mut found = Vec::new();
        for path in &self.0 {
            let metadata = fs::metadata(path);
            let pattern = path.to_str().filter(|text| text.contains(['*', '?', '[']));
            match (metadata, pattern) {
                (Ok(metadata), _) if metadata.is_dir() => found.extend(in_folder(path, extensions)?),
                (Err(_), Some(pattern)) => found.extend(matching(pattern)?),
                _ => found.push(path.clone()),
            }
        }
        if found.is_empty() {
            let (what, advice) = ("an empty list".to_owned(), "name a file".to_owned());
            return Err(Error::NoFiles { what, advice });
        }
        Ok(found)
    }
}

/// The files that a pattern matches, in the order of their paths; one at least.
pub(crate) fn matching(pattern: &str) -> Result<Vec<PathBuf>, Error> {
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let paths = glob::glob_with(pattern, options)
        .map_err(|source| Error::Pattern { pattern: pattern.to_owned(), source })?;
    let mut found = Vec::new();
    for path in paths {
        let path =
            path.map_err(|error| Error::Open { path: error.path().to_owned(), source: error.into() })?;
        if !path.is_dir() {
            found.push(path);
        }
    }
    if found.is_empty() {
        let (what, advice) = (format!("`{pattern}`"), "no file matches the pattern".to_owned());
        return Err(Error::NoFiles { what, advice });
    }
    found.sort();
    Ok(found)
}

fn in_folder(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, Error> {
    let mut found = below(folder, &|name| !name.starts_with(['.', '_']))?;
    found.retain(|path| has_extension(&path.file_name().unwrap_or_default().to_string_lossy(), extensions));
    if found.is_empty() {
        let what = format!("the folder {}", folder.display());
        let advice = format!("no name in it ends with .{}", extensions.join(" or ."));
        return Err(Error::NoFiles { what, advice });
    }
    Ok(found)
}

/// The files below a folder, in the order of their paths; files and folders of some names are passed over.
pub(crate) fn below(folder: &Path, is_wanted: &dyn Fn(&str) -> bool) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let read_error = |source| Error::Read { path: folder.clone(), source };
        for entry in fs::read_dir(&folder).map_err(read_error)? {
            let path = entry.map_err(read_error)?.path();
            if !is_wanted(&path.file_name().unwrap_or_default().to_string_lossy()) {
                continue;
            }
            // A link to a folder is not followed: it may lead back here.
            if !path.is_dir() {
                found.push(path);
            } else if !path.is_symlink() {
                folders.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn has_extension(name: &str, extensions: &[&str]) -> bool {
    let name = name.to_ascii_lowercase();
    let stem = COMPRESSED.iter().find_map(|ending| name.strip_suffix(ending)?.strip_suffix('.'));
    let (_, extension) = stem.unwrap_or(&name).rsplit_once('.').unwrap_or_default();
    extensions.contains(&extension)
}
