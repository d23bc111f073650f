//! How fast rows are hashed, as ratios to plain SHA-256 over the same bytes in the same run, and how much memory
//! streams of different lengths need.
//!
//! ```text
//! cargo bench -p rowmark-hashing --bench limits
//! ```
//!
//! Rows: one million of about 100 encoded bytes, five fields; reviews are numbers and a text, contacts mostly texts.
//! Each figure is the best of several interleaved rounds. Memory: this program runs itself, streams rows that are made
//! on the way, and reads its own peak (`VmHWM`). With `--test` it runs once and on
//! little, and checks what it checks.

use std::hint::black_box;
use std::time::{Duration, Instant};

use rowmark_hashing::{ContentHash, ContentHasher, encode, hash_rows};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

const STREAM_ARGUMENT: &str = "--stream-rows";

#[derive(Serialize)]
struct Review {
    id: u64,
    author: u32,
    stars: f32,
    unix_time_ms: i64,
    text: String,
}

#[derive(Serialize)]
struct Contact {
    id: u64,
    name: String,
    mail: String,
    note: String,
    active: bool,
}

/// Numbers that look random and are the same in every run (SplitMix64).
fn scramble(seed: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

fn word(random: u64, which: u32) -> &'static str {
    ["slow", "late", "good", "fine", "kind", "loud", "warm", "bleak"][(random >> (8 * which)) as usize % 8]
}

fn review(id: u64) -> Review {
    let random = scramble(id);
    let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(|which| word(random, which));
    Review {
        id,
        author: random as u32,
        stars: (random % 11) as f32 / 2.0,
        unix_time_ms: 1_700_000_000_000 + (random % 100_000_000) as i64,
        text: format!("the {a} room was {b} and {c}, but the staff was {d}; would {e} come again"),
    }
}

fn contact(id: u64) -> Contact {
    let random = scramble(id);
    Contact {
        id,
        name: format!("{} {:06}", word(random, 0), random % 1_000_000),
        mail: format!("{:08x}@{}.example", random as u32, word(random, 1)),
        note: format!(
            "met at the {} {} fair in {}, wants a letter",
            word(random, 2),
            word(random, 3),
            random % 2000
        ),
        active: random & 1 == 1,
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(position) = arguments.iter().position(|argument| argument == STREAM_ARGUMENT) {
        return stream(arguments[position + 1].parse().expect("a number of rows"));
    }
    let (rows, rounds, streamed) =
        if is_trial() { (10_000, 1, "1000000") } else { (1_000_000, 9, "10000000") };
    speed("reviews", (0..rows).map(review).collect(), rounds);
    speed("contacts", (0..rows).map(contact).collect(), rounds);
    memory("100000", streamed);
}

/// Whether this was not started as a benchmark, or with `--test`.
fn is_trial() -> bool {
    let has = |name: &str| std::env::args().any(|argument| argument == name);
    has("--test") || !has("--bench")
}

fn speed<T: Serialize + Sync>(name: &str, rows: Vec<T>, rounds: usize) {
    let encoded = encode(&rows).expect("plain rows");
    let bytes = encoded.len();
    println!("{name}: {} rows of {:.0} encoded bytes", rows.len(), bytes as f64 / rows.len() as f64);
    let expected = hash_rows(&rows).expect("plain rows");
    let check = |hash: ContentHash| assert_eq!(hash, expected);
    let mut best = [Duration::MAX; 4];
    for _ in 0..rounds {
        let mut time = |index: usize, work: &dyn Fn()| {
            let start = Instant::now();
            work();
            best[index] = best[index].min(start.elapsed());
        };
        time(0, &|| {
            black_box(Sha256::digest(black_box(&encoded)));
        });
        time(1, &|| check(hash_rows(&rows).expect("plain rows")));
        #[cfg(feature = "rayon")]
        for threads in [1, 2] {
            time(1 + threads, &|| check(on_threads(threads, &rows)));
        }
    }
    let report = |name: &str, time: Duration| {
        let speed = bytes as f64 / 1e6 / time.as_secs_f64();
        let ratio = best[0].as_secs_f64() / time.as_secs_f64();
        println!(
            "  {name:<24} {:>6.1} ms {speed:>6.0} MB/s  {ratio:.2} of plain SHA-256",
            time.as_secs_f64() * 1e3
        );
    };
    report("plain SHA-256", best[0]);
    report("hash_rows", best[1]);
    if cfg!(feature = "rayon") {
        report("par_hash_rows, 1 thread", best[2]);
        report("par_hash_rows, 2 threads", best[3]);
        println!("  two threads are {:.2} times hash_rows", best[1].as_secs_f64() / best[3].as_secs_f64());
    } else {
        println!("  par_hash_rows: run with --features rayon");
    }
}

#[cfg(feature = "rayon")]
fn on_threads<T: Serialize + Sync>(threads: usize, rows: &[T]) -> ContentHash {
    use std::sync::LazyLock;
    static POOLS: LazyLock<[rayon::ThreadPool; 2]> = LazyLock::new(|| {
        [1, 2].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("a thread pool"))
    });
    POOLS[threads - 1].install(|| rowmark_hashing::par_hash_rows(rows).expect("plain rows"))
}

/// Hashes a stream of rows that never exist together, and prints the peak memory of this process in KiB.
fn stream(rows: u64) {
    let mut hasher = ContentHasher::new();
    (0..rows).try_for_each(|id| hasher.update(&review(id))).expect("plain rows");
    black_box(hasher.finish());
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    println!("{}", peak.map_or("unknown", |peak| peak.trim().trim_end_matches(" kB")));
}

fn memory(few: &str, many: &str) {
    let program = std::env::current_exe().expect("this program has a path");
    let peak_kib = |rows: &str| {
        let output = std::process::Command::new(&program).args([STREAM_ARGUMENT, rows]).output();
        let output = String::from_utf8(output.expect("this program runs").stdout).expect("text");
        output.trim().parse::<i64>().ok()
    };
    let (Some(peak_few), Some(peak_many)) = (peak_kib(few), peak_kib(many)) else {
        return println!("peak memory: not known on this system");
    };
    let more = peak_many - peak_few;
    println!("peak memory, rows streamed: {few}: {peak_few} KiB, {many}: {peak_many} KiB ({more:+} KiB)");
    assert!(more < 1024, "memory grows with the number of rows");
}
