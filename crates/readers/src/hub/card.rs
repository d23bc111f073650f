//! The header of a dataset's `README.md`, as far as it says which files are of which configuration and split.
//!
//! The header is YAML that anyone may have written. It is read as a stream of events, of which only those under
//! `configs` are kept: nothing is expanded, and its depth is bounded.

use std::borrow::Cow;

use saphyr_parser::{Event, Parser};

use super::problem::HfProblem;

/// How deep what is under `configs` may be.
const DEPTH_MAX: usize = 16;

/// A configuration: a part of a dataset with splits of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) name: String,
    pub(super) is_default: bool,
    pub(super) folder: Option<String>,
    /// The splits in their order, each with the patterns of its files; nothing if the files' names tell.
    pub(super) splits: Option<Vec<(String, Vec<String>)>>,
}

#[derive(Debug, PartialEq)]
enum Node {
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

/// The configurations that a `README.md` tells of; none if it tells of none.
pub(super) fn configs(readme: &str) -> Result<Vec<Config>, HfProblem> {
    let Some(header) = header(readme) else { return Ok(Vec::new()) };
    let Some(configs) = configs_node(header)? else { return Ok(Vec::new()) };
    match configs {
        Node::List(configs) => configs.iter().map(config).collect(),
        _ => Err(malformed("`configs` is no list")),
    }
}

fn malformed(reason: impl Into<String>) -> HfProblem {
    HfProblem::Card { reason: reason.into() }
}

/// What stands between two lines of three dashes at the beginning.
fn header(readme: &str) -> Option<&str> {
    let text = readme.trim_start_matches('\u{feff}').trim_start();
    let text = text.strip_prefix("---")?;
    let (rest, text) = text.split_once('\n')?;
    if !rest.trim_end().is_empty() {
        return None;
    }
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return Some(&text[..at]);
        }
        at += line.len();
    }
    None
}

/// What is under `configs` at the top of the header.
fn configs_node(header: &str) -> Result<Option<Node>, HfProblem> {
    let mut events = Events(Parser::new_from_str(header));
    loop {
        match events.next()? {
            Event::MappingStart(..) => break,
            Event::StreamStart | Event::DocumentStart(_) => {}
            _ => return Ok(None),
        }
    }
    loop {
        let key = match events.next()? {
            Event::Scalar(key, ..) => Some(key),
            Event::MappingEnd | Event::StreamEnd => return Ok(None),
            other => {
                events.pass_over(&other)?;
                None
            }
        };
        let value = events.next()?;
        if key.as_deref() == Some("configs") {
            return events.node(value, 0).map(Some);
        }
        events.pass_over(&value)?;
    }
}

struct Events<'a>(Parser<'a, saphyr_parser::StrInput<'a>>);

impl<'a> Events<'a> {
    fn next(&mut self) -> Result<Event<'a>, HfProblem> {
        match self.0.next_event() {
            Some(Ok((event, _))) => Ok(event),
            Some(Err(error)) => Err(malformed(error.to_string())),
            None => Err(malformed("it ends in the middle")),
        }
    }

    /// Passes over what an event begins.
    fn pass_over(&mut self, event: &Event<'_>) -> Result<(), HfProblem> {
        let step = |event: &Event<'_>| match event {
            Event::SequenceStart(..) | Event::MappingStart(..) => 1,
            Event::SequenceEnd | Event::MappingEnd => -1,
            _ => 0,
        };
        let mut depth = step(event);
        while depth > 0 {
            depth += step(&self.next()?);
        }
        Ok(())
    }

    /// What an event begins.
    fn node(&mut self, event: Event<'a>, depth: usize) -> Result<Node, HfProblem> {
        if depth > DEPTH_MAX {
            return Err(malformed(format!("`configs` is more than {DEPTH_MAX} deep")));
        }
        match event {
            Event::Scalar(text, ..) => Ok(Node::Text(text.into_owned())),
            Event::SequenceStart(..) => {
                let mut list = Vec::new();
                loop {
                    match self.next()? {
                        Event::SequenceEnd => return Ok(Node::List(list)),
                        event => list.push(self.node(event, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut map = Vec::new();
                loop {
                    match self.next()? {
                        Event::MappingEnd => return Ok(Node::Map(map)),
                        event => {
                            let key = self.node(event, depth + 1)?;
                            let value = self.next()?;
                            map.push((key, self.node(value, depth + 1)?));
                        }
                    }
                }
            }
            Event::Alias(_) => Err(malformed("`configs` has an alias (`*name`) in it")),
            _ => Err(malformed("`configs` ends in the middle")),
        }
    }
}

impl Node {
    fn get(&self, key: &str) -> Option<&Self> {
        let Self::Map(map) = self else { return None };
        map.iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
    }

    fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// A text, or all of a list of texts.
    fn texts(&self) -> Option<Vec<String>> {
        match self {
            Self::Text(text) => Some(vec![text.clone()]),
            Self::List(list) => list.iter().map(|text| text.text().map(str::to_owned)).collect(),
            Self::Map(_) => None,
        }
    }
}

fn config(node: &Node) -> Result<Config, HfProblem> {
    let Some(name) = node.get("config_name").and_then(Node::text) else {
        return Err(malformed("one of the `configs` has no `config_name`"));
    };
    let is_true = |node: &Node| node.text().is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let splits = node.get("data_files").filter(|node| node.text() != Some("")).map(|node| splits(name, node));
    Ok(Config {
        name: name.to_owned(),
        is_default: name == "default" || node.get("default").is_some_and(is_true),
        folder: node.get("data_dir").and_then(Node::text).map(str::to_owned),
        splits: splits.transpose()?,
    })
}

/// The splits that `data_files` tells of: one text or a list of texts are of the split `train`.
fn splits(config: &str, node: &Node) -> Result<Vec<(String, Vec<String>)>, HfProblem> {
    if let Some(patterns) = node.texts() {
        return Ok(vec![("train".to_owned(), patterns)]);
    }
    let wrong = || malformed(format!("`data_files` of configuration `{config}` has a split without a path"));
    let split = |split: Option<&Node>, path: Option<&Node>| {
        let split = split.and_then(Node::text).map(Cow::Borrowed);
        Some((split?.into_owned(), path?.texts()?))
    };
    match node {
        Node::Map(map) => {
            map.iter().map(|(name, path)| split(Some(name), Some(path)).ok_or_else(wrong)).collect()
        }
        Node::List(list) => {
            list.iter().map(|item| split(item.get("split"), item.get("path")).ok_or_else(wrong)).collect()
        }
        Node::Text(_) => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(yaml: &str) -> Vec<Config> {
        configs(&format!("---\n{yaml}\n---\n# A dataset\n")).unwrap()
    }

    #[test]
    fn every_form_of_data_files_is_understood() {
        let found = told(
            "license: mit\ndataset_info:\n- features:\n  - name: a\nconfigs:\n\
             - config_name: en\n  default: true\n  data_files:\n  - split: train\n    path: en/train-*\n\
             \x20 - split: test\n    path: [en/a.parquet, 'en/b.parquet']\n\
             - config_name: de\n  data_files: \"de/*.parquet\"\n\
             - config_name: fr\n  data_dir: fr\n- {config_name: 2023, data_files: {train: [a, b]}}",
        );
        let patterns = |patterns: &[&str]| patterns.iter().map(ToString::to_string).collect::<Vec<_>>();
        let split = |name: &str, of: &[&str]| (name.to_owned(), patterns(of));
        let config = |name: &str| Config { name: name.to_owned(), ..Config::default() };
        let en = vec![split("train", &["en/train-*"]), split("test", &["en/a.parquet", "en/b.parquet"])];
        assert_eq!(
            found,
            [
                Config { is_default: true, splits: Some(en), ..config("en") },
                Config { splits: Some(vec![split("train", &["de/*.parquet"])]), ..config("de") },
                Config { folder: Some("fr".to_owned()), ..config("fr") },
                Config { splits: Some(vec![split("train", &["a", "b"])]), ..config("2023") },
            ]
        );
    }

    #[test]
    fn a_readme_without_configurations_has_none() {
        for readme in
            ["", "# Title\n", "---\nlicense: mit\n---\n", "---\nlicense: mit\n", "---\n---\n", "--- x\n---\n"]
        {
            assert_eq!(configs(readme).unwrap(), [], "{readme:?}");
        }
        assert_eq!(told("? [a, b]\n: {c: d}\nconfigs: []"), []);
        assert_eq!(configs("\u{feff}---\r\nconfigs:\r\n- config_name: a\r\n---\r\n").unwrap().len(), 1);
    }

    #[test]
    fn what_is_malformed_or_hostile_is_an_error() {
        let deep = format!("configs: {}", "[".repeat(100_000));
        let deep_elsewhere = format!("other: {}\nconfigs: 1", "[".repeat(100_000));
        for (yaml, said) in [
            ("configs: 1", "`configs` is no list"),
            ("configs:\n- data_files: a", "has no `config_name`"),
            ("configs:\n- config_name: a\n  data_files:\n  - split: train", "a split without a path"),
            ("a: &x [1]\nconfigs: [*x, *x]", "has an alias"),
            ("configs: [", "malformed"),
            (deep.as_str(), "malformed"),
            (deep_elsewhere.as_str(), "malformed"),
        ] {
            let told = configs(&format!("---\n{yaml}\n---\n")).unwrap_err().to_string();
            assert!(told.contains(said), "{told}");
        }
    }
}
