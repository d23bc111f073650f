//! What a run would do is said before it does it, and is what it then does.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rowmark::prelude::*;

use crate::support::{Calls, FailAt, Folder, builder, failed_row, told};

static CALLS: Calls = Calls::new();
static FAIL_AT: FailAt = FailAt::never();

mod before {
    #[rowmark::udf]
    pub fn square(n: &u64) -> Result<u64, String> {
        super::FAIL_AT.check(*n)?;
        super::CALLS.count(*n);
        Ok(n * n)
    }
}

mod after {
    #[rowmark::udf]
    pub fn square(n: &u64) -> Result<u64, String> {
        super::CALLS.count(*n);
        Ok(n.pow(2))
    }
}

fn chain<U: rowmark::udf::Udf<u64, Output = u64>>(session: &Session, udf: U) -> Chain<u64> {
    let rows: Vec<u64> = (0..100).collect();
    session.read_values(&rows).map(udf).map(udf!("half", |n: &u64| n / 2))
}

#[test]
fn a_plan_says_what_a_run_then_does_and_does_nothing() {
    let folder = Folder::new();
    let session = folder.session_in_order();
    let plan = chain(&session, before::square).explain().unwrap();
    let steps = "\nmap square: run, 100 rows (first run)\nmap half: run (first run)";
    let source = plan.to_string().strip_suffix(steps).unwrap().to_owned();
    assert!(source.starts_with("source 100 values: content "), "{plan}");
    assert!(session.job().is_none(), "a plan begins no job");
    assert_eq!(session.metastore().list_jobs().unwrap(), []);
    FAIL_AT.set(40);
    assert_eq!(failed_row(chain(&session, before::square).collect()).0, 40);
    let job = session.job().unwrap().id;
    let plan = chain(&session, before::square).explain().unwrap();
    let expected = format!("{source}\nmap square: continue, 40 of 100 rows done (progress of this job)\n");
    assert!(plan.to_string().starts_with(&expected), "{plan}");
    drop(session);

    let session = folder.session();
    let plan = chain(&session, after::square).explain().unwrap();
    let expected = format!(
        "{source}\nmap square: continue, 40 of 100 rows done (progress of job {job}, by other code)\n"
    );
    assert!(plan.to_string().starts_with(&expected), "{plan}");
    assert_eq!(CALLS.take_total(), 40);
    chain(&session, after::square).collect().unwrap();
    assert_eq!(CALLS.take_total(), 60);
    assert!(chain(&session, after::square).explain().unwrap().is_done());
    drop(session);

    FAIL_AT.set(None);
    let session = folder.session();
    let plan = chain(&session, before::square).explain().unwrap();
    let [square, half] = plan.steps() else { panic!("{plan}") };
    assert_eq!(square.reason, "udf square: body changed");
    assert_eq!((half.rows_in, half.kind), (None, "map"), "its input is not known yet");
    let json: serde_json::Value = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["steps"][0]["step"], "square");
    let saved = chain(&session, before::square).save("halves").unwrap();
    assert_eq!(told(saved.report(), "square"), "run 100 = 0 + 100");
    assert_eq!(saved.report().step("square").unwrap().reason, square.reason);
}

/// The texts that are logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("rowmark")
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        struct Message(String);
        impl tracing::field::Visit for Message {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        self.0.lock().unwrap().push(message.0);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[derive(Serialize, Deserialize)]
struct Review {
    stars: f64,
}

/// A chain over two files, one of them filtered, and two steps of which the second captures a value.
fn of_files(session: &Session, files: &Path, threshold: f64) -> Chain<bool> {
    let reviews = |name: &str| session.read_csv::<Review>(files.join(name)).unwrap();
    let old = reviews("old.csv").filter(udf!("rated", |review: &Review| review.stars > 0.0));
    let stars = old.union(&reviews("new.csv")).map(udf!("stars", |review: &Review| review.stars));
    stars.limit(3).map(udf!("good", captures(threshold), |stars: &f64| *stars > threshold))
}

#[test]
fn a_plan_is_a_tree_of_sources_views_and_steps_and_is_what_a_run_logs() {
    let (folder, files) = (Folder::new(), tempfile::tempdir().unwrap());
    fs::write(files.path().join("old.csv"), "stars\n0.5\n0\n").unwrap();
    fs::write(files.path().join("new.csv"), "stars\n0.6\n0.9\n").unwrap();
    let log = Log::default();
    // While there is but one, a thread without it that comes to a place first turns that off for all.
    let _another = tracing::Dispatch::new(Log::default());
    // What a plan says, and what a run in a new job then logs.
    let explained = |threshold: f64| {
        let session = builder(&folder.path()).row_reuse(false).open().unwrap();
        let chain = of_files(&session, files.path(), threshold);
        let plan = chain.explain().unwrap();
        log.0.lock().unwrap().clear();
        tracing::subscriber::with_default(log.clone(), || chain.collect()).unwrap();
        for step in plan.steps().iter().filter(|step| step.rows_in.is_some()) {
            assert!(log.0.lock().unwrap().contains(&step.to_string()), "{step}");
        }
        (plan, session.job().unwrap().id)
    };
    let (plan, first) = explained(0.5);
    let (text, mut hashes) = without_hashes(&plan);
    let expected = "\
┌ source old.csv: content #…, 12 B
│ filter rated
├ source new.csv: content #…, 14 B
└ union
map stars: run, 4 rows (first run)
rows 0..3
map good: run (first run)";
    assert_eq!(text, expected);

    let (plan, _) = explained(0.7);
    assert!(plan.to_string().ends_with(&format!(
        "\nmap stars: skip (done by job {first})\nrows 0..3\nmap good: run, 3 rows (captured threshold: 0.5 → 0.7)"
    )));
    let json = serde_json::to_value(&plan).unwrap();
    let good = &json["tree"];
    assert_eq!(
        (good["kind"].as_str(), good["name"].as_str(), good["step"].as_u64()),
        (Some("map"), Some("good"), Some(1))
    );
    assert_eq!(json["steps"][1]["decision"], "Run");
    assert_eq!(json["steps"][0]["reused_from"], serde_json::to_value(first).unwrap());
    let union = &good["before"][0]["before"][0]["before"][0];
    assert_eq!((union["kind"].as_str(), union["before"].as_array().unwrap().len()), (Some("union"), 2));
    assert_eq!(union["before"][0]["before"][0]["name"], "old.csv");

    fs::write(files.path().join("new.csv"), "stars\n0.6\n0.95\n").unwrap();
    let (plan, _) = explained(0.7);
    hashes.push(without_hashes(&plan).1.remove(1));
    let expected = format!(
        "the second chain of the union: source new.csv: content {}… → {}…, 14 B → 15 B",
        hashes[1], hashes[2]
    );
    assert_eq!(plan.steps()[0].reason, expected);
    assert_eq!(plan.steps()[1].rows_in, None, "its input is not known yet");
}

/// The text of a plan with `#` in the place of hashes, and these.
fn without_hashes(plan: &rowmark::Explanation) -> (String, Vec<String>) {
    let text = plan.to_string();
    let hashes: Vec<String> =
        text.split("content ").skip(1).map(|rest| rest.split('…').next().unwrap().to_owned()).collect();
    let text = hashes.iter().fold(text, |text, hash| text.replace(hash, "#"));
    (text, hashes)
}
