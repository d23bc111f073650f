//! Shows the progress of a step while it runs.
//!
//! A thread of its own reads the counters a few times a second; the workers never wait for it.

use std::fmt;
#[cfg(feature = "progress")]
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rowmark_executor::{Progress, Snapshot};

use crate::report::grouped;

/// Time between two looks at the counters for a bar or a callback.
const TICK: Duration = Duration::from_millis(100);

/// Time between two plain lines.
const LINE_TICK: Duration = Duration::from_secs(5);

type Callback = Arc<dyn Fn(&str, &Snapshot) + Send + Sync>;

/// How progress is shown.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum ProgressDisplay {
    /// A bar when standard error is a terminal, plain lines every few seconds otherwise.
    #[default]
    Auto,
    /// Plain lines on standard error.
    Lines,
    /// Nothing.
    Off,
    /// A function of the embedding program, called about ten times a second and once at the end of a
    /// step, on a thread of its own.
    Callback(Callback),
}

impl ProgressDisplay {
    /// Shows progress through a function of the step's name and its counters.
    ///
    /// ```
    /// use rowmark::prelude::*;
    ///
    /// let display = ProgressDisplay::callback(|step, now| {
    ///     println!("{step}: {} of {} rows", now.rows_reused + now.rows_done, now.rows_total);
    /// });
    /// ```
    pub fn callback(function: impl Fn(&str, &Snapshot) + Send + Sync + 'static) -> Self {
        Self::Callback(Arc::new(function))
    }

    /// Shows a step's progress until the answer is dropped.
    pub(crate) fn begin(&self, step: &str, progress: &Arc<Progress>) -> Option<Shown> {
        let (tick, mut view): (Duration, Box<dyn View>) = match self {
            Self::Off => return None,
            Self::Callback(function) => (TICK, Box::new(Arc::clone(function))),
            #[cfg(feature = "progress")]
            Self::Auto if std::io::stderr().is_terminal() => (TICK, Box::new(bar::Bar::new(step, progress))),
            _ => (LINE_TICK, Box::new(Lines)),
        };
        let (stop, stopped) = channel::<()>();
        let (step, progress) = (step.to_owned(), Arc::clone(progress));
        let thread = std::thread::Builder::new().name("rowmark-progress".to_owned()).spawn(move || {
            while stopped.recv_timeout(tick) == Err(RecvTimeoutError::Timeout) {
                view.show(&step, &progress.snapshot());
            }
            view.end(&step, &progress.snapshot());
        });
        // Without a thread nothing is shown, which is no reason not to run.
        thread.ok().map(|thread| Shown { stop: Some(stop), thread: Some(thread) })
    }
}

impl fmt::Debug for ProgressDisplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "Auto",
            Self::Lines => "Lines",
            Self::Off => "Off",
            Self::Callback(_) => "Callback",
        })
    }
}

/// A display that goes on until this is dropped.
pub(crate) struct Shown {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Shown {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the user's callback has been printed; the run is not its concern.
            let _ = thread.join();
        }
    }
}

trait View: Send {
    fn show(&mut self, step: &str, now: &Snapshot);

    fn end(&mut self, step: &str, now: &Snapshot) {
        self.show(step, now);
    }
}

impl View for Callback {
    fn show(&mut self, step: &str, now: &Snapshot) {
        self(step, now);
    }
}

struct Lines;

impl View for Lines {
    fn show(&mut self, step: &str, now: &Snapshot) {
        eprintln!("{step}: {}", counters(now));
    }
}

/// The counters in words: `1 200 of 5 000 rows (1 000 reused), 350 rows/s, 11 s left, 2 failed`.
fn counters(now: &Snapshot) -> String {
    let done = now.rows_reused + now.rows_done;
    let mut text = format!("{} of {} rows", grouped(done), grouped(now.rows_total));
    if now.rows_reused > 0 {
        text += &format!(" ({} reused)", grouped(now.rows_reused));
    }
    text += &format!(", {} rows/s", grouped(now.rows_per_second() as u64));
    if let Some(left) = now.time_left().filter(|left| !left.is_zero()) {
        text += &format!(", {} s left", grouped(left.as_secs()));
    }
    if now.rows_failed > 0 {
        text += &format!(", {} failed", grouped(now.rows_failed));
    }
    text
}

#[cfg(feature = "progress")]
mod bar {
    use indicatif::{ProgressBar, ProgressStyle};

    use super::{Progress, Snapshot, View, counters};

    pub(super) struct Bar(ProgressBar);

    impl Bar {
        pub(super) fn new(step: &str, progress: &Progress) -> Self {
            let style = ProgressStyle::with_template("{prefix} [{wide_bar}] {percent}% {msg}")
                .expect("the template is well formed")
                .progress_chars("=> ");
            let bar = ProgressBar::new(progress.snapshot().rows_total).with_style(style);
            bar.set_prefix(step.to_owned());
            Self(bar)
        }
    }

    impl View for Bar {
        fn show(&mut self, _: &str, now: &Snapshot) {
            self.0.set_message(counters(now));
            self.0.set_position(now.rows_reused + now.rows_done);
        }

        fn end(&mut self, step: &str, now: &Snapshot) {
            self.show(step, now);
            self.0.abandon();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_are_put_in_words() {
        let progress = Progress::new(5000, 1000);
        let text = counters(&progress.snapshot());
        assert!(text.starts_with("1 000 of 5 000 rows (1 000 reused), 0 rows/s"), "{text}");
    }
}
