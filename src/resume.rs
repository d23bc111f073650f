//! What to do with a step: skip it, continue it, or run it. A pure function over records.

use std::collections::BTreeSet;

use rowmark_hashing::ContentHash;
use rowmark_metastore::{Checkpoint, CheckpointKind, JobId};

/// Where a finished step may be looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reuse {
    /// In this job, in the jobs that it is a rerun of, and then in any other.
    #[default]
    Global,
    /// In this job and in the jobs that it is a rerun of.
    Lineage,
}

/// What becomes of a step's finished rows when its code was changed before the rest was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MixedCode {
    /// They are kept, and the result says which rows came from which code.
    #[default]
    KeepRows,
    /// Those of other code are computed again; those of this code are kept.
    RecomputeStale,
    /// It is an error.
    Fail,
}

/// What a lookup is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lookup<'a> {
    /// This job, then those that it is a rerun of, nearest first.
    pub(crate) lineage: &'a [JobId],
    /// The step's identity with its code.
    pub(crate) hash_output: ContentHash,
    /// The identity of the code alone.
    pub(crate) code: ContentHash,
    /// Heed no checkpoint, but for the progress that this job itself has made.
    pub(crate) ignore_checkpoints: bool,
    /// Heed no partial checkpoint, but for the progress that this job itself has made.
    pub(crate) reset: bool,
    pub(crate) reuse: Reuse,
    pub(crate) mixed_code: MixedCode,
    /// A result of which so many rows failed will do, in this job and those that it is a rerun of.
    pub(crate) failures_max: u64,
    /// Compute the rows that failed and were recorded, and only those.
    pub(crate) retries_failed: bool,
}

/// Something that can be done, if the table that it names is whole.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Choice {
    /// The step is finished: use its table.
    Skip(Checkpoint),
    /// Some rows are done: go on from this table.
    Continue(Checkpoint),
}

/// Two different UDFs of one name, input and parameters met in one job.
#[derive(Debug, PartialEq)]
pub(crate) struct SameName;

/// What can be done, best first; when none of it can (a table is gone), the step is run.
///
/// `records` are the active checkpoints with the step's `hash_partial`: its own and those of other
/// codes of the same UDF.
pub(crate) fn choices(lookup: Lookup<'_>, records: &[Checkpoint]) -> Result<Vec<Choice>, SameName> {
    let Lookup { lineage, hash_output, code, ignore_checkpoints, reset, reuse, .. } = lookup;
    let of_job = |job: JobId| records.iter().filter(move |record| record.job == job);
    let is_final = |record: &&Checkpoint| record.kind == CheckpointKind::Final && record.hash == hash_output;
    let failures_max = if lookup.retries_failed { 0 } else { lookup.failures_max };
    let is_pure = |record: &Checkpoint| record.codes.iter().all(|made| made.code == code);
    let keeps_rows = lookup.mixed_code == MixedCode::KeepRows;
    let is_enough =
        |record: &&Checkpoint| record.rows_failed <= failures_max && (keeps_rows || is_pure(record));

    let (this_job, ancestors) = lineage.split_first().expect("a lineage begins with the job itself");

    // A body can be edited between jobs, not within one: here another code is another function. What a
    // partial checkpoint will be known by, once it is final, says whose it is.
    let is_mine = |record: &Checkpoint| record.identity == hash_output || record.hash == hash_output;
    if !of_job(*this_job).all(is_mine) {
        return Err(SameName);
    }

    let mut choices: Vec<Choice> = Vec::new();
    if !ignore_checkpoints {
        let of_lineage = lineage.iter().flat_map(|&job| of_job(job).filter(is_final).filter(is_enough));
        choices.extend(of_lineage.cloned().map(Choice::Skip));
        if reuse == Reuse::Global {
            // Rows that an earlier version of the code made are kept within the lineage, where the person
            // who edited it knows of them. Elsewhere only a result of this code alone will do.
            let lineage: BTreeSet<JobId> = lineage.iter().copied().collect();
            let elsewhere = records.iter().filter(is_final).filter(|record| {
                record.rows_failed == 0 && is_pure(record) && !lineage.contains(&record.job)
            });
            choices.extend(elsewhere.cloned().map(Choice::Skip));
        }
    }
    // The nearest job that has anything of this UDF decides. If it finished the UDF with another code, that
    // ended the progress; what jobs before it left is older than that result.
    let heeded = if reset || ignore_checkpoints { &[] } else { ancestors };
    let nearest = std::iter::once(this_job)
        .chain(heeded)
        .map(|&job| of_job(job).collect::<Vec<_>>())
        .find(|records| !records.is_empty())
        .unwrap_or_default();
    let progress = nearest.iter().find(|record| record.kind == CheckpointKind::Partial);
    // A result that is not enough can be gone on with: by the same code, or, if rows of it failed and just those are
    // asked for, by another.
    let incomplete = nearest.iter().find(|record| {
        record.kind == CheckpointKind::Final
            && (record.rows_failed > 0 || !(keeps_rows || is_pure(record)))
            && (record.hash == hash_output || (lookup.retries_failed && record.rows_failed > 0))
    });
    match (progress, incomplete) {
        (Some(progress), _) => {
            // A retry that began from a result holds all of its rows, and what it did since.
            let rows_begun_with: u64 = progress.codes.iter().map(|made| made.rows).sum();
            let is_behind = |choice: &Choice| {
                matches!(choice, Choice::Skip(result) if result.rows_failed > 0
                    && progress.identity == hash_output
                    && rows_begun_with >= result.counts.rows_in.saturating_sub(result.rows_failed))
            };
            let place = choices.iter().position(is_behind).unwrap_or(choices.len());
            choices.insert(place, Choice::Continue((*progress).clone()));
        }
        (None, Some(incomplete)) => choices.push(Choice::Continue((*incomplete).clone())),
        (None, None) => {}
    }
    Ok(choices)
}

#[cfg(test)]
mod tests {
    use rowmark_hashing::Fingerprint;
    use rowmark_metastore::{CheckpointStatus, CodeRows, RowCounts, Timestamp};

    use super::*;

    fn hash(text: &str) -> ContentHash {
        ContentHash::of(text).unwrap()
    }

    /// A record that says: this job, this kind, made by these codes. Its hash is that of the last code.
    fn record(job: JobId, kind: CheckpointKind, codes: &[&str]) -> Checkpoint {
        let newest = codes.last().unwrap();
        Checkpoint {
            job,
            hash: if kind == CheckpointKind::Final { hash(newest) } else { hash("partial") },
            kind,
            status: CheckpointStatus::Active,
            created_at: Timestamp::from_millis(0),
            step: "classify".into(),
            hash_partial: hash("partial"),
            fingerprint: Fingerprint::new("test"),
            table: String::new(),
            counts: RowCounts::default(),
            content_hash: None,
            codes: codes.iter().map(|code| CodeRows { code: hash(code), rows: 1 }).collect(),
            identity: hash(newest),
            rows_failed: 0,
        }
    }

    /// Checks what is chosen for code "b": `skip 1` or `continue 0`, with the job's number; jobs 0, 1, 2
    /// are the lineage (2 is the oldest), job 3 is elsewhere.
    #[track_caller]
    fn check(records: &[(usize, CheckpointKind, &[&str])], change: impl Fn(&mut Lookup<'_>), expected: &str) {
        let records: Vec<_> = records.iter().map(|&(job, kind, codes)| (job, kind, codes, 0)).collect();
        check_failed(&records, change, expected);
    }

    /// As [`check`], with the number of rows that failed in each.
    #[track_caller]
    fn check_failed(
        records: &[(usize, CheckpointKind, &[&str], u64)],
        change: impl Fn(&mut Lookup<'_>),
        expected: &str,
    ) {
        let jobs: Vec<JobId> = (0..4).map(|_| JobId::new()).collect();
        let records: Vec<_> = records
            .iter()
            .map(|&(job, kind, codes, rows_failed)| Checkpoint {
                rows_failed,
                ..record(jobs[job], kind, codes)
            })
            .collect();
        let mut lookup = Lookup {
            lineage: &jobs[..3],
            hash_output: hash("b"),
            code: hash("b"),
            ignore_checkpoints: false,
            reset: false,
            reuse: Reuse::Global,
            mixed_code: MixedCode::KeepRows,
            failures_max: 0,
            retries_failed: false,
        };
        change(&mut lookup);
        let number = |job| jobs.iter().position(|&known| known == job).unwrap();
        let told = match choices(lookup, &records) {
            Err(SameName) => "same name".to_owned(),
            Ok(choices) => choices
                .iter()
                .map(|choice| match choice {
                    Choice::Skip(record) => format!("skip {}", number(record.job)),
                    Choice::Continue(record) => format!("continue {}", number(record.job)),
                })
                .collect::<Vec<_>>()
                .join(", "),
        };
        assert_eq!(told, expected);
    }

    use CheckpointKind::{Final, Partial};

    #[test]
    fn nothing_known_is_run() {
        check(&[], |_| {}, "");
    }

    #[test]
    fn the_nearest_result_is_best_and_progress_is_next() {
        check(&[(2, Final, &["b"]), (1, Final, &["b"])], |_| {}, "skip 1, skip 2");
        check(&[(2, Final, &["b"]), (1, Partial, &["b"])], |_| {}, "skip 2, continue 1");
    }

    #[test]
    fn progress_is_continued_by_another_code() {
        check(&[(1, Partial, &["a"])], |_| {}, "continue 1");
        check(&[(2, Partial, &["a"]), (1, Partial, &["a", "b"])], |_| {}, "continue 1");
    }

    #[test]
    fn a_result_of_another_code_ends_the_progress_before_it() {
        check(&[(2, Partial, &["a"]), (1, Final, &["a"])], |_| {}, "");
    }

    #[test]
    fn elsewhere_only_a_pure_result_counts_and_never_progress() {
        check(&[(3, Final, &["b"])], |_| {}, "skip 3");
        check(&[(3, Final, &["a", "b"])], |_| {}, "");
        check(&[(3, Partial, &["b"])], |_| {}, "");
        check(&[(3, Final, &["b"])], |lookup| lookup.reuse = Reuse::Lineage, "");
        check(&[(1, Final, &["a", "b"])], |_| {}, "skip 1");
    }

    #[test]
    fn a_result_with_failed_rows_is_taken_where_failures_are_recorded() {
        let failed: [(usize, CheckpointKind, &[&str], u64); 1] = [(1, Final, &["b"], 2)];
        check_failed(&failed, |lookup| lookup.failures_max = 2, "skip 1, continue 1");
        check_failed(&failed, |_| {}, "continue 1");
        check_failed(&failed, |lookup| lookup.failures_max = 1, "continue 1");
        check_failed(
            &failed,
            |lookup| (lookup.failures_max, lookup.retries_failed) = (2, true),
            "continue 1",
        );
        check_failed(&[(3, Final, &["b"], 2)], |lookup| lookup.failures_max = 2, "");
    }

    #[test]
    fn other_code_goes_on_with_failed_rows_only_if_asked() {
        let failed: [(usize, CheckpointKind, &[&str], u64); 1] = [(1, Final, &["a"], 2)];
        check_failed(&failed, |lookup| lookup.failures_max = 2, "");
        check_failed(&failed, |lookup| lookup.retries_failed = true, "continue 1");
    }

    #[test]
    fn a_result_of_mixed_code_is_gone_on_with_where_its_rows_are_not_kept() {
        for mixed_code in [MixedCode::RecomputeStale, MixedCode::Fail] {
            let set = |lookup: &mut Lookup<'_>| lookup.mixed_code = mixed_code;
            check(&[(1, Final, &["a", "b"])], set, "continue 1");
            check(&[(1, Final, &["b"])], set, "skip 1");
            check(&[(1, Partial, &["a"])], set, "continue 1");
        }
    }

    #[test]
    fn a_retry_that_began_is_gone_on_with() {
        let begun: [(usize, CheckpointKind, &[&str], u64); 2] =
            [(1, Final, &["b"], 2), (1, Partial, &["b"], 0)];
        check_failed(&begun, |lookup| lookup.failures_max = 2, "continue 1, skip 1");
    }

    #[test]
    fn a_retry_that_another_job_began_is_gone_on_with() {
        let begun: [(usize, CheckpointKind, &[&str], u64); 2] =
            [(2, Final, &["b"], 2), (1, Partial, &["b"], 0)];
        check_failed(&begun, |lookup| lookup.failures_max = 2, "continue 1, skip 2");
        let other: [(usize, CheckpointKind, &[&str], u64); 2] =
            [(2, Final, &["b"], 2), (1, Partial, &["a"], 0)];
        check_failed(&other, |lookup| lookup.failures_max = 2, "skip 2, continue 1");
    }

    #[test]
    fn settings_turn_it_off() {
        let all: [(usize, CheckpointKind, &[&str]); 2] = [(1, Final, &["b"]), (1, Partial, &["b"])];
        check(&all, |lookup| lookup.reset = true, "skip 1");
        check(&all, |lookup| lookup.ignore_checkpoints = true, "");
    }

    #[test]
    fn two_codes_in_one_job_are_two_functions_of_one_name() {
        check(&[(0, Partial, &["a"])], |_| {}, "same name");
        check(&[(0, Final, &["a"])], |_| {}, "same name");
        check(&[(0, Partial, &["b", "a"])], |_| {}, "same name");
        check(&[(0, Partial, &["a", "b"])], |_| {}, "continue 0");
        check(&[(0, Partial, &["a", "b"])], |lookup| lookup.reset = true, "continue 0");
    }
}
