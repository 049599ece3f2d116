//! Event times of generated records: from start to end of a simulation, in batches that share one, moved by jitter.

use super::number::between_evenly;
use super::random::Random;
use crate::spec::TimeSimulation;

/// The times of one source's records, in ms.
#[derive(Clone, Debug)]
pub(super) struct EventTimes {
    start: i64,
    end: i64,
    jitter_ms: u64,
    batch_size: u64,
    sequential: bool,
    /// How many different times there are.
    times: u64,
    taken: u64,
    /// Records of the current batch still to come, and its time before and after jitter.
    left: u64,
    unmoved: i64,
    moved: i64,
}

impl EventTimes {
    /// The times of so many records; the error says what is wrong with the simulation.
    pub fn new(simulation: &TimeSimulation, records: u64, now_ms: i64) -> Result<EventTimes, String> {
        let (start, end) = (simulation.start.ms(now_ms), simulation.end.ms(now_ms));
        if start >= end {
            return Err(format!("the simulated time ends at {end} ms and starts at {start} ms, not before it"));
        }
        let batch_size = simulation.batch_size.max(1);
        Ok(EventTimes {
            start,
            end,
            jitter_ms: simulation.jitter_ms,
            batch_size,
            sequential: simulation.sequential,
            times: records.div_ceil(batch_size),
            taken: 0,
            left: 0,
            unmoved: start,
            moved: start,
        })
    }

    /// The time of the next record.
    pub fn next(&mut self, random: &mut Random) -> i64 {
        if self.left == 0 {
            self.left = self.batch_size;
            self.unmoved = self.next_unmoved(random);
            self.taken += 1;
            let jitter = i128::from(self.jitter_ms);
            let by = if jitter == 0 { 0 } else { random.between(-jitter, jitter) };
            self.moved = i64::try_from(i128::from(self.unmoved) + by).unwrap_or(self.unmoved);
        }
        self.left -= 1;
        self.moved
    }

    /// Times anywhere between start and end come in rising order, as of a clock: jitter alone makes disorder. The next of
    /// `n` sorted uniform numbers lies, as a share of what is left, at `1 - u^(1/n)`.
    fn next_unmoved(&self, random: &mut Random) -> i64 {
        if self.sequential {
            let last = self.times.saturating_sub(1);
            return between_evenly(i128::from(self.start), i128::from(self.end), self.taken, last) as i64;
        }
        let left = self.times.saturating_sub(self.taken).max(1);
        let share = 1.0 - random.unit().powf(1.0 / left as f64);
        let room = (i128::from(self.end) - i128::from(self.unmoved)) as f64;
        let next = i128::from(self.unmoved) + (room * share) as i128;
        i64::try_from(next).unwrap_or(self.end).min(self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Moment;

    const HOUR: TimeSimulation = TimeSimulation {
        start: Moment::Relative(-3_600_000),
        end: Moment::Relative(0),
        time_scale: 1.0,
        events_per_second: None,
        sequential: true,
        jitter_ms: 0,
        batch_size: 1,
    };

    fn times(simulation: &TimeSimulation, records: u64) -> Vec<i64> {
        let mut random = Random::of(1, &[]);
        let mut times = EventTimes::new(simulation, records, 10_000_000).expect("a simulation");
        (0..records).map(|_| times.next(&mut random)).collect()
    }

    #[test]
    fn sequential_times_go_evenly_from_start_to_end() {
        assert_eq!(times(&HOUR, 5), [6_400_000, 7_300_000, 8_200_000, 9_100_000, 10_000_000]);
        assert_eq!(times(&HOUR, 1), [6_400_000]);
        assert_eq!(
            times(&TimeSimulation { batch_size: 2, ..HOUR }, 5),
            [6_400_000, 6_400_000, 8_200_000, 8_200_000, 10_000_000]
        );
    }

    #[test]
    fn jitter_makes_real_disorder_within_its_bound() {
        let even = times(&HOUR, 1_000);
        let moved = times(&TimeSimulation { jitter_ms: 10_000, ..HOUR }, 1_000);
        assert!(even.iter().zip(&moved).all(|(a, b)| (a - b).abs() <= 10_000));
        let backwards = moved.windows(2).filter(|pair| pair[1] < pair[0]).count();
        assert!(backwards > 200, "{backwards}");
    }

    #[test]
    fn times_anywhere_rise_and_fill_the_range() {
        let taken = times(&TimeSimulation { sequential: false, ..HOUR }, 10_000);
        assert!(taken.windows(2).all(|pair| pair[0] <= pair[1]));
        let quarter = taken.iter().filter(|t| **t < 7_300_000).count();
        assert!((2_300..2_700).contains(&quarter), "{quarter}");
        assert!((6_400_000..=10_000_000).contains(&taken[0]) && taken[9_999] <= 10_000_000);
    }

    #[test]
    fn a_simulation_without_time_is_refused() {
        let nothing = TimeSimulation { start: Moment::At(5), end: Moment::At(5), ..HOUR };
        assert_eq!(
            EventTimes::new(&nothing, 1, 0).expect_err("no time"),
            "the simulated time ends at 5 ms and starts at 5 ms, not before it"
        );
    }
}
