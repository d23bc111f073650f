//! The project's own promises: ARCHITECTURE.md names only paths that exist, and crates depend downwards only.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every text between backquotes, and every link's target, that looks like a path of this project.
fn paths_named_in(text: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2).filter(|text| text.contains('/') && !text.contains(' '));
    let linked = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    quoted
        .chain(linked)
        .filter(|path| {
            !path.starts_with("http") && !path.starts_with('#') && !path.contains(['{', '*', '<', ':'])
        })
        .map(|path| path.trim_end_matches('/').to_owned())
        .collect()
}

#[test]
fn pages_name_only_paths_that_exist() {
    let mut checked = 0;
    for page in [
        "ARCHITECTURE.md",
        "README.md",
        "CHANGELOG.md",
        "docs/format.md",
        "docs/glossary.md",
        "docs/identity.md",
    ] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        let folder = root().join(page).parent().unwrap().to_owned();
        for path in paths_named_in(&text) {
            // A state folder's own paths stand in pages too; they are no files of the project.
            if path.starts_with(".rowmark") || path.starts_with("target") {
                continue;
            }
            checked += 1;
            assert!(
                root().join(&path).exists() || folder.join(&path).exists(),
                "{page} names `{path}`, which is not there"
            );
        }
    }
    assert!(checked > 40, "the test found only {checked} paths");
}

/// The layers of the crate graph. An arrow points to a lower layer, never sideways.
const LAYERS: [(&str, u8); 9] = [
    ("rowmark-os", 0),
    ("rowmark-hashing", 0),
    ("rowmark-rows", 1),
    ("rowmark-metastore", 2),
    ("rowmark-warehouse", 2),
    ("rowmark-readers", 2),
    ("rowmark-executor", 2),
    ("rowmark-macros", 2),
    ("rowmark", 3),
];

/// The names under `[dependencies]` and `[build-dependencies]` of a manifest that are ours.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line == "[dependencies]" || line == "[build-dependencies]";
        } else if inside && let Some((name, _)) = line.split_once(['=', '.']) {
            names.extend(name.trim().starts_with("rowmark").then(|| name.trim().to_owned()));
        }
    }
    names
}

#[test]
fn dependencies_run_only_downwards() {
    let layers: BTreeMap<&str, u8> = LAYERS.into();
    let mut manifests: Vec<_> =
        fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path()).collect();
    manifests.push(root().to_owned());
    assert_eq!(manifests.len(), LAYERS.len(), "a crate is missing in LAYERS");
    for folder in manifests {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let name = manifest.split("[package]").nth(1).unwrap().split('"').nth(1).unwrap();
        for dependency in dependencies(&manifest) {
            assert!(
                layers[dependency.as_str()] < layers[name],
                "{name} depends on {dependency}, which is not below it"
            );
        }
        if ["rowmark-executor", "rowmark-macros", "rowmark-hashing", "rowmark-os"].contains(&name) {
            assert_eq!(dependencies(&manifest), [""; 0], "{name} stands on nothing of ours");
        }
    }
}

#[test]
fn every_crate_has_a_readme_that_its_documentation_is_made_of() {
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let folder = entry.unwrap().path();
        let source = fs::read_to_string(folder.join("src/lib.rs")).unwrap();
        assert!(folder.join("README.md").exists(), "{} has no README.md", folder.display());
        assert!(source.contains("include_str!(\"../README.md\")"), "{}", folder.display());
    }
}

/// All code below a folder.
fn code_below(folder: &Path) -> String {
    let mut code = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            code.push_str(&code_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            code.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    code
}

#[test]
fn every_edit_on_the_page_about_identity_has_its_test() {
    let code = code_below(&root().join("tests"));
    let page = fs::read_to_string(root().join("docs/identity.md")).unwrap();
    let (_, edits) = page.split_once("## Edits").unwrap();
    let rows = edits.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| edit |"));
    let mut tests = 0;
    for row in rows {
        let proof = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let names: Vec<&str> = proof.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test is named: {row}");
        for name in names {
            let is_there = code.contains(&format!("fn {name}()"))
                || code.contains(&format!("    {name}: "))
                || root().join(format!("tests/ui/{name}.rs")).exists()
                || name == "tests/ui";
            assert!(is_there, "there is no test `{name}`: {row}");
            tests += 1;
        }
    }
    assert!(tests > 60, "only {tests} tests are named");
}
