//! When a row that failed is tried again.

use std::time::Duration;

/// How often a row is tried, and how long the worker waits in between: exponential back-off.
///
/// The wait doubles with every attempt up to `delay_max`. Of it up to a half is taken off, so that
/// rows that failed together are not tried again together. How much follows from the row's number and the
/// attempt alone: there is no random number in it, and a run waits as long as the one before.
///
/// ```
/// use std::time::Duration;
/// use rowmark_executor::Retry;
///
/// let retry = Retry { attempts: 5, delay: Duration::from_secs(1), ..Retry::default() };
/// assert!((500..=1000).contains(&retry.delay_after(7, 1).as_millis()));
/// assert!((2000..=4000).contains(&retry.delay_after(7, 3).as_millis()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How often a row is tried in all; 1 (the default) is once, and 0 stands for it.
    pub attempts: u32,
    /// The wait before the second attempt.
    pub delay: Duration,
    /// The longest wait.
    pub delay_max: Duration,
}

impl Default for Retry {
    /// One attempt; if there are more, 100 ms before the second and no wait longer than 30 s.
    fn default() -> Self {
        Self { attempts: 1, delay: Duration::from_millis(100), delay_max: Duration::from_secs(30) }
    }
}

impl Retry {
    /// The wait before the next attempt at a row that has failed so often.
    pub fn delay_after(&self, row: u64, attempts: u32) -> Duration {
        let doubled = 1u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        let delay = self.delay.saturating_mul(doubled).min(self.delay_max);
        let share = mixed(row ^ mixed(u64::from(attempts))) >> 32; // of 2^32
        delay - (delay / 2).mul_f64(share as f64 / (1u64 << 32) as f64)
    }
}

/// The output function of SplitMix64 (Steele, Lea and Flood 2014).
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_bound_and_differ_between_rows() {
        let retry = Retry { attempts: 99, delay: Duration::from_secs(1), delay_max: Duration::from_secs(10) };
        for (attempts, full) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (40, 10)] {
            let full = Duration::from_secs(full);
            let waits: Vec<Duration> = (0..100).map(|row| retry.delay_after(row, attempts)).collect();
            assert!(waits.iter().all(|wait| (full / 2..=full).contains(wait)), "{attempts}: {waits:?}");
            let (shortest, longest) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
            assert!(*longest - *shortest > full / 3, "{attempts}: {waits:?}");
        }
        assert_eq!(retry.delay_after(5, 2), retry.delay_after(5, 2));
    }

    #[test]
    fn waits_without_bound_do_not_overflow() {
        let retry = Retry { attempts: 99, delay: Duration::MAX, delay_max: Duration::MAX };
        assert!(retry.delay_after(1, 33) >= Duration::MAX / 2);
    }
}
