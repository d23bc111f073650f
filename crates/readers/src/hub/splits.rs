//! Which files of a dataset are of which split: pure decisions over names.
//!
//! The rules are those of Python's `datasets` (its `data_files.py`): what the header of `README.md` says, or else names as
//! `data/train-00000-of-00002.parquet`, a word such as `train` or `validation` in a folder's or a file's name, or else
//! all files as `train`. Unlike there only Parquet files are looked at.

use std::collections::{BTreeMap, BTreeSet};

use glob::{MatchOptions, Pattern};

use super::card::Config;
use super::problem::HfProblem;

/// The splits with names that are recognised in paths, and their words.
const WORDS: [(&str, &[&str]); 3] = [
    ("train", &["train", "training"]),
    ("validation", &["validation", "valid", "dev", "val"]),
    ("test", &["test", "testing", "eval", "evaluation"]),
];

/// Splits in their order, each with its files.
#[derive(Default)]
struct Splits(Vec<(String, Vec<String>, BTreeSet<String>)>);

impl Splits {
    /// Adds a file to a split, once.
    fn push(&mut self, split: &str, path: &str) {
        let at = self.0.iter().position(|(name, ..)| name == split).unwrap_or_else(|| {
            self.0.push((split.to_owned(), Vec::new(), BTreeSet::new()));
            self.0.len() - 1
        });
        let (_, files, seen) = &mut self.0[at];
        if seen.insert(path.to_owned()) {
            files.push(path.to_owned());
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn files_of(self, split: &str) -> Result<Vec<String>, HfProblem> {
        let there_is = self.0.iter().map(|(name, ..)| name.clone()).collect();
        let found = self.0.into_iter().find(|(name, ..)| name == split);
        found.map(|(_, files, _)| files).ok_or(HfProblem::NoSplit { split: split.to_owned(), there_is })
    }
}

/// The files of a split in their order. Nothing if the dataset has no Parquet files where they would be.
///
/// `paths` are all files of the dataset, in their order.
pub(super) fn own(
    paths: &[&str],
    configs: &[Config],
    config: Option<&str>,
    split: &str,
) -> Result<Option<Vec<String>>, HfProblem> {
    let splits = if configs.is_empty() {
        match config {
            None | Some("default") => by_names(paths, ""),
            Some(config) => {
                let splits = by_names(paths, config);
                if splits.is_empty() && !by_names(paths, "").is_empty() {
                    let (config, there_is) = (config.to_owned(), folders(paths));
                    return Err(HfProblem::NoConfig { config, there_is });
                }
                splits
            }
        }
    } else {
        of_config(paths, choose(configs, config)?)?
    };
    if splits.is_empty() { Ok(None) } else { splits.files_of(split).map(Some) }
}

/// The files of a split among those that the hub converted: `{config}/{split}/0000.parquet`.
pub(super) fn converted(paths: &[&str], config: Option<&str>, split: &str) -> Result<Vec<String>, HfProblem> {
    let paths: Vec<&str> = paths.iter().copied().filter(|path| is_parquet(path)).collect();
    let mut there_is = folders(&paths);
    there_is.retain(|name| !name.starts_with('.'));
    let config = match (config, &there_is[..]) {
        (_, []) => return Err(HfProblem::NoParquet),
        (Some(config), all) if all.iter().any(|name| name == config) => config,
        (Some(config), _) => return Err(HfProblem::NoConfig { config: config.to_owned(), there_is }),
        (None, [only]) => only,
        (None, all) if all.iter().any(|name| name == "default") => "default",
        (None, _) => return Err(HfProblem::WhichConfig { there_is }),
    };
    let mut splits = Splits::default();
    for path in paths {
        let below = path.strip_prefix(config).and_then(|path| path.strip_prefix('/'));
        if let Some((split, _)) = below.and_then(|below| below.split_once('/')) {
            splits.push(split, path);
        }
    }
    if splits.0.iter().any(|(name, ..)| name.strip_prefix("partial-") == Some(split)) {
        return Err(HfProblem::PartlyConverted { split: split.to_owned() });
    }
    splits.files_of(split)
}

fn choose<'a>(configs: &'a [Config], config: Option<&str>) -> Result<&'a Config, HfProblem> {
    let there_is = || configs.iter().map(|config| config.name.clone()).collect();
    match (config, configs) {
        (Some(name), _) => configs
            .iter()
            .find(|config| config.name == name)
            .ok_or_else(|| HfProblem::NoConfig { config: name.to_owned(), there_is: there_is() }),
        (None, [only]) => Ok(only),
        (None, _) => configs
            .iter()
            .find(|config| config.is_default)
            .ok_or_else(|| HfProblem::WhichConfig { there_is: there_is() }),
    }
}

/// The splits that a configuration tells of, those with Parquet files.
fn of_config(paths: &[&str], config: &Config) -> Result<Splits, HfProblem> {
    let folder = config.folder.as_deref().unwrap_or_default().trim_start_matches("./").trim_matches('/');
    let Some(told) = &config.splits else { return Ok(by_names(paths, folder)) };
    let mut splits = Splits::default();
    for (split, patterns) in told {
        for pattern in patterns {
            for path in matching(paths, folder, pattern)? {
                splits.push(split, path);
            }
        }
    }
    Ok(splits)
}

/// The Parquet files that a pattern of `data_files` means.
fn matching<'a>(paths: &[&'a str], folder: &str, pattern: &str) -> Result<Vec<&'a str>, HfProblem> {
    let malformed = |reason: String| HfProblem::Card { reason };
    if pattern.contains("://") {
        return Err(malformed(format!("`{pattern}` is a file of somewhere else, which is not read")));
    }
    let pattern = pattern.trim_start_matches("./").trim_start_matches('/');
    let pattern = if folder.is_empty() { pattern.to_owned() } else { format!("{folder}/{pattern}") };
    let compiled =
        Pattern::new(&pattern).map_err(|error| malformed(format!("`{pattern}` is no pattern: {error}")))?;
    let options = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: false,
    };
    let is_meant = |path: &&str| {
        is_parquet(path) && compiled.matches_with(path, options) && marked(path) == marked(&pattern)
    };
    Ok(paths.iter().copied().filter(is_meant).collect())
}

/// The splits as names of files and folders tell of them, below a folder.
fn by_names(paths: &[&str], folder: &str) -> Splits {
    let below = |path: &'_ str| match folder {
        "" => Some(path.len()),
        folder => path.strip_prefix(folder).and_then(|path| path.strip_prefix('/')).map(str::len),
    };
    let found: Vec<(&str, &str)> = paths
        .iter()
        .filter_map(|path| Some((*path, &path[path.len() - below(path)?..])))
        .filter(|(_, below)| is_parquet(below) && marked(below) == (0, 0))
        .collect();
    let mut splits = Splits::default();
    for (path, below) in &found {
        if let Some(split) = shard(below) {
            splits.push(split, path);
        }
    }
    for in_part in [in_folder, in_name] {
        if splits.is_empty() {
            for (split, words) in WORDS {
                for stand in words.iter().flat_map(|word| STANDS.map(|stand| (*word, stand))) {
                    for (path, _) in found.iter().filter(|(_, below)| in_part(below, stand)) {
                        splits.push(split, path);
                    }
                }
            }
        }
    }
    if splits.is_empty() {
        found.iter().for_each(|(path, _)| splits.push("train", path));
    }
    splits
}

fn is_parquet(path: &str) -> bool {
    path.ends_with(".parquet") || path.ends_with(".pq")
}

/// The split of a path like `data/train-00000-of-00002.parquet`.
fn shard(path: &str) -> Option<&str> {
    let name = path.strip_prefix("data/").filter(|name| !name.contains('/'))?;
    shards(name).map(|(split, _)| split).filter(|split| !split.is_empty())
}

/// The beginning of a name like `train-00000-of-00002.parquet`, and how many such files there are.
fn shards(name: &str) -> Option<(&str, usize)> {
    let digits = |text: &str| text.len() >= 5 && text.as_bytes()[..5].iter().all(u8::is_ascii_digit);
    let at = name.rfind("-of-")?;
    let (before, of) = (&name[..at], &name[at + 4..]);
    let (split, number) = before.rsplit_once('-')?;
    if !digits(of) || !digits(number) || number.len() != 5 {
        return None;
    }
    Some((split, of[..5].parse().ok()?))
}

/// How many more files there are to be of those of which these are parts, as their names say.
pub(super) fn missing_shards(paths: &[String]) -> usize {
    let mut groups = BTreeMap::<(&str, usize), usize>::new();
    for path in paths {
        let at = path.rfind('/').map_or(0, |at| at + 1);
        if let Some((split, count)) = shards(&path[at..]) {
            *groups.entry((&path[..at + split.len()], count)).or_default() += 1;
        }
    }
    groups.into_iter().map(|((_, count), found)| count.saturating_sub(found)).sum()
}

/// The first folders of paths.
fn folders(paths: &[&str]) -> Vec<String> {
    let mut folders: Vec<String> =
        paths.iter().filter_map(|path| path.split_once('/')).map(|(folder, _)| folder.to_owned()).collect();
    folders.dedup();
    folders
}

/// How many parts of a path begin with a dot, and how many folders with two underscores: such are meant only by patterns
/// that have as many.
fn marked(path: &str) -> (usize, usize) {
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    let is_hidden = |part: &&str| part.starts_with('.') && part.bytes().any(|byte| byte != b'.');
    (
        path.split('/').filter(is_hidden).count(),
        folders.split('/').filter(|part| part.starts_with("__")).count(),
    )
}

/// How a word may stand alone in a name: with nothing, or something after another character, before and behind it. Files come
/// in this order, as they do in `datasets`.
const STANDS: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

type Stand<'a> = (&'a str, (bool, bool));

fn in_folder(path: &str, stand: Stand<'_>) -> bool {
    path.rsplit_once('/').is_some_and(|(folders, _)| folders.split('/').any(|folder| stands(folder, stand)))
}

/// In a file's name there is always something behind the word.
fn in_name(path: &str, stand: Stand<'_>) -> bool {
    let (_, (_, behind)) = stand;
    behind && stands(path.rsplit('/').next().unwrap_or_default(), stand)
}

fn stands(name: &str, (word, (before, behind)): Stand<'_>) -> bool {
    let is_between = |byte: u8| matches!(byte, b'-' | b'.' | b'_' | b' ' | b'0'..=b'9');
    let name = name.as_bytes();
    (0..=name.len().saturating_sub(word.len())).any(|at| {
        let Some(rest) = name[at..].strip_prefix(word.as_bytes()) else { return false };
        let is_before = if before { at > 0 && is_between(name[at - 1]) } else { at == 0 };
        let is_behind =
            if behind { rest.first().is_some_and(|byte| is_between(*byte)) } else { rest.is_empty() };
        is_before && is_behind
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(paths: &[&str], split: &str) -> Result<Option<Vec<String>>, HfProblem> {
        own(paths, &[], None, split)
    }

    #[test]
    fn splits_and_their_order_are_those_of_datasets() {
        // What `datasets` 5.2 finds in folders of files with random names; `tests/data/make.py` asked it.
        type Files = Vec<String>;
        let golden: Vec<(Files, BTreeMap<String, Files>)> =
            serde_json::from_str(include_str!("../../tests/data/hub_splits.json")).unwrap();
        for (paths, expected) in golden {
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            let splits = by_names(&paths, "").0;
            let told: BTreeMap<_, _> = splits.into_iter().map(|(split, files, _)| (split, files)).collect();
            assert_eq!(told, expected, "{paths:?}");
        }
    }

    fn there_is(paths: &[&str]) -> Vec<String> {
        match names(paths, "none such") {
            Err(HfProblem::NoSplit { there_is, .. }) => there_is,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn shards_in_the_folder_data_name_their_splits() {
        let paths = [
            "README.md",
            "data/extra-00000-of-00001.parquet",
            "data/test-00000-of-00001-0123abcd.parquet",
            "data/train-00000-of-00002.parquet",
            "data/train-00001-of-00002.parquet",
            "other/train.parquet",
        ];
        assert_eq!(there_is(&paths), ["extra", "test", "train"]);
        assert_eq!(names(&paths, "train").unwrap().unwrap(), paths[3..5]);
        assert_eq!(names(&paths, "test").unwrap().unwrap(), paths[2..3]);
    }

    #[test]
    fn words_that_stand_alone_name_splits_folders_before_files() {
        let paths = ["a/my-train_2/x.parquet", "a/training/y.parquet", "b/dev/z.parquet", "test.parquet"];
        assert_eq!(there_is(&paths), ["train", "validation"], "a folder's word comes first");
        assert_eq!(names(&paths, "train").unwrap().unwrap(), paths[..2]);
        assert_eq!(there_is(&["x/my.val.parquet", "evaluation-1.parquet"]), ["validation", "test"]);
        let without = ["strain.parquet", "trains/a.parquet", "latest.parquet"];
        assert_eq!(names(&without, "train").unwrap().unwrap(), without);
    }

    #[test]
    fn hidden_files_are_meant_by_nobody_and_other_formats_are_none() {
        assert_eq!(names(&[".git/train.parquet", "__cache__/train.parquet"], "train").unwrap(), None);
        assert_eq!(names(&["train.csv", "README.md"], "train").unwrap(), None);
        assert_eq!(names(&[], "train").unwrap(), None);
    }

    #[test]
    fn a_folder_is_a_configuration_where_nothing_else_says_so() {
        let paths = ["de/train-00000.parquet", "en/test.parquet", "en/train.parquet"];
        assert_eq!(own(&paths, &[], Some("en"), "train").unwrap().unwrap(), paths[2..]);
        let error = own(&paths, &[], Some("fr"), "train").unwrap_err();
        assert_eq!(error.to_string(), "there is no configuration `fr`; there is `de`, `en`");
    }

    #[test]
    fn the_header_of_the_readme_decides() {
        let config = |name: &str, patterns: &[&str]| Config {
            name: name.to_owned(),
            splits: Some(vec![("all".to_owned(), patterns.iter().map(ToString::to_string).collect())]),
            ..Config::default()
        };
        let paths = ["data/b.parquet", "data/c/d.parquet", "x.csv", "x.parquet"];
        let read = |config: Config| own(&paths, &[config], None, "all");
        assert_eq!(read(config("a", &["x.*", "data/*"])).unwrap().unwrap(), ["x.parquet", "data/b.parquet"]);
        assert_eq!(read(config("a", &["data/**", "data/b*"])).unwrap().unwrap(), paths[..2]);
        assert_eq!(read(config("a", &["**/*.parquet"])).unwrap().unwrap().len(), 3);
        assert_eq!(read(config("a", &["./x.csv"])).unwrap(), None);
        let below = Config { folder: Some("data".to_owned()), ..config("a", &["*"]) };
        assert_eq!(read(below).unwrap().unwrap(), paths[..1]);
        let told = read(config("a", &["hf://datasets/other/x.parquet"])).unwrap_err().to_string();
        assert!(told.contains("is a file of somewhere else"), "{told}");

        let two = [config("a", &["x.*"]), config("b", &["data/*"])];
        let told = own(&paths, &two, None, "all").unwrap_err().to_string();
        assert_eq!(told, "it has several configurations; choose one with `config`: `a`, `b`");
        assert_eq!(own(&paths, &two, Some("b"), "all").unwrap().unwrap(), paths[..1]);
        let told = own(&paths, &two, Some("b"), "train").unwrap_err().to_string();
        assert_eq!(told, "there is no split `train`; there is `all`");
        own(&paths, &two, Some("c"), "all").unwrap_err();
    }

    #[test]
    fn what_the_hub_converted_is_by_configuration_and_split() {
        let paths = [".gitattributes", "a/test/0000.parquet", "a/train/0000.parquet", "a/train/0001.parquet"];
        assert_eq!(converted(&paths, None, "train").unwrap(), paths[2..]);
        let more = [&paths[..], &["b/partial-train/0000.parquet", "b/test/0000.parquet"]].concat();
        assert_eq!(
            converted(&more, None, "train").unwrap_err(),
            HfProblem::WhichConfig { there_is: vec!["a".to_owned(), "b".to_owned()] }
        );
        assert_eq!(
            converted(&more, Some("b"), "train").unwrap_err(),
            HfProblem::PartlyConverted { split: "train".to_owned() }
        );
        assert_eq!(converted(&more, Some("b"), "test").unwrap(), ["b/test/0000.parquet"]);
        assert_eq!(converted(&paths[..1], None, "train").unwrap_err(), HfProblem::NoParquet);
    }

    #[test]
    fn shards_tell_how_many_they_are() {
        let missing =
            |paths: &[&str]| missing_shards(&paths.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(missing(&["data/train-00000-of-00001.parquet", "x.parquet"]), 0);
        assert_eq!(missing(&["a/train-00000-of-00003.parquet", "a/train-00002-of-00003.parquet"]), 1);
        assert_eq!(missing(&["a/train-00000-of-00002.parquet", "b/train-00001-of-00002.parquet"]), 2);
    }
}
