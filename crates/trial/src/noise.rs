//! Whether two sets of measurements differ by more than their noise.
//!
//! Holds: [`summary`] (median and range), [`verdict`] (an exact rank test), [`fewest_runs`].
//! Never does: assume a distribution: times of programs have long tails, and sizes come in steps.
//! Source: Mann and Whitney, "On a test of whether one of two random variables is stochastically larger than the other", 1947; ties by
//! midranks, the distribution by counting, so that it is exact for any number of runs and any ties.

/// Of all tests in one comparison together: the chance that one of them tells a difference where there is none.
const CHANCE: f64 = 0.05;

/// What several measurements of one thing say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub low: f64,
    /// The most.
    pub high: f64,
}

/// Median and range; `None` of nothing.
pub fn summary(values: &[f64]) -> Option<Summary> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (*sorted.first()?, *sorted.last()?);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    Some(Summary { median: (lower + upper) / 2.0, low, high })
}

/// How one set differs from another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// Of the medians, relative to the first: -0.27 is 27 % less.
    pub change: f64,
    /// The chance of ranks as unequal as these where nothing differs.
    pub p: f64,
    /// How far `change` may be off, relative to the first: to the end of its confidence interval that is nearer to no change, and no less
    /// than what is worth telling. `None` where the runs are too few to say.
    pub noise: Option<f64>,
    /// Whether it is more than noise, and more than what is worth telling.
    pub differs: bool,
}

/// Whether `other` differs from `base`, as one of so many `tests` in a comparison (their chances to err add up to 5 % at most), by at
/// least the share `least` of the base. `None` where one of them is empty.
pub fn verdict(base: &[f64], other: &[f64], tests: usize, least: f64) -> Option<Verdict> {
    let (first, second) = (summary(base)?.median, summary(other)?.median);
    let change = if first == second { 0.0 } else { second / first - 1.0 };
    let p = rank_test(base, other);
    let chance = CHANCE / tests.max(1) as f64;
    let off = interval(base, other, chance).map(|(low, high)| {
        let shift = second - first;
        let off = if shift < 0.0 { high - shift } else { shift - low };
        if first == 0.0 {
            0.0
        } else {
            (off / first).max(0.0)
        }
    });
    // Of ties the test and the interval may say different things: a difference is told where both do.
    let differs = p <= chance && change.abs() >= least && off.is_some_and(|off| change.abs() > off);
    let noise = off.map(|off| off.max(least)).map(|noise| if differs || !change.is_finite() { noise } else { noise.max(change.abs()) });
    // What is told to differ is more than its noise: `least` is no part of it there.
    Some(Verdict { change, p, noise: if differs { off } else { noise }, differs })
}

/// Where the shift from `a` to `b` lies, but for this chance: the interval of all shifts that the rank test does not exclude (Hollander,
/// Wolfe and Chicken, "Nonparametric Statistical Methods", 4.3). `None` where that is any shift.
fn interval(a: &[f64], b: &[f64], chance: f64) -> Option<(f64, f64)> {
    let (n, m) = (a.len(), b.len());
    // counts[i][u]: ways to lay i values of a among so many of b with u pairs in the order that is counted; j grows in place.
    let mut counts = vec![vec![0.0f64; n * m + 1]; n + 1];
    for row in &mut counts {
        if let Some(none) = row.first_mut() {
            *none = 1.0;
        }
    }
    for j in 1..=m {
        for i in 1..=n {
            let (fewer, here) = counts.split_at_mut(i);
            let (Some(fewer), Some(here)) = (fewer.last(), here.first_mut()) else { continue };
            // The greatest of all is of b (it was counted with one b less), or of a, above all j of b.
            for (u, count) in here.iter_mut().enumerate().rev() {
                *count += u.checked_sub(j).and_then(|u| fewer.get(u)).copied().unwrap_or_default();
            }
        }
    }
    let ways = counts.last()?;
    let total: f64 = ways.iter().sum();
    // So many of the least and of the most pairs are left out.
    let (mut left_out, mut sum) = (0, 0.0);
    for count in ways {
        sum += count;
        if 2.0 * sum / total > chance {
            break;
        }
        left_out += 1;
    }
    let mut shifts: Vec<f64> = a.iter().flat_map(|a| b.iter().map(move |b| b - a)).collect();
    shifts.sort_by(f64::total_cmp);
    let low = shifts.get(usize::checked_sub(left_out, 1)?)?;
    let high = shifts.get(shifts.len().checked_sub(left_out)?)?;
    Some((*low, *high))
}

/// The fewest runs of each variant with which [`verdict`] can tell a difference at all, in so many tests.
pub fn fewest_runs(tests: usize) -> usize {
    // The most unequal ranks are one of all the ways to choose n of 2n, on either side.
    let mut ways = 1.0;
    for n in 1..100u32 {
        ways *= f64::from(2 * (2 * n - 1)) / f64::from(n);
        if 2.0 / ways <= CHANCE / tests.max(1) as f64 {
            return n as usize;
        }
    }
    100
}

/// The two-sided chance of a rank sum at least so far from its mean, by counting the ways to choose `a`'s ranks among all.
fn rank_test(a: &[f64], b: &[f64]) -> f64 {
    let mut all: Vec<f64> = a.iter().chain(b).copied().collect();
    all.sort_by(f64::total_cmp);
    // Twice the midrank, a whole number: places of equals run from `below` to `below + equal`.
    let rank = |value: f64| {
        let below = all.partition_point(|x| x.total_cmp(&value).is_lt());
        let through = all.partition_point(|x| x.total_cmp(&value).is_le());
        below + through + 1
    };
    let ranks: Vec<usize> = all.iter().map(|x| rank(*x)).collect();
    let most: usize = ranks.iter().sum();
    // ways[n][s]: how many choices of n of the ranks so far have the sum s.
    let mut ways = vec![vec![0.0f64; most + 1]; a.len() + 1];
    if let Some(none) = ways.first_mut().and_then(|sums| sums.first_mut()) {
        *none = 1.0;
    }
    for &rank in &ranks {
        for n in (1..=a.len()).rev() {
            let (fewer, more) = ways.split_at_mut(n);
            let (Some(fewer), Some(here)) = (fewer.last(), more.first_mut()) else { continue };
            for (sum, count) in here.iter_mut().enumerate().skip(rank) {
                *count += fewer.get(sum - rank).copied().unwrap_or_default();
            }
        }
    }
    let mean = most as f64 * a.len() as f64 / all.len() as f64;
    let far = (a.iter().map(|x| rank(*x)).sum::<usize>() as f64 - mean).abs();
    let sums = ways.last().map(Vec::as_slice).unwrap_or_default();
    let total: f64 = sums.iter().sum();
    let as_far: f64 = sums.iter().enumerate().filter(|(sum, _)| (*sum as f64 - mean).abs() >= far - 1e-9).map(|(_, count)| count).sum();
    as_far / total
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// All ways to choose, one by one.
    fn naive(a: &[f64], b: &[f64]) -> f64 {
        let all: Vec<f64> = a.iter().chain(b).copied().collect();
        let rank = |x: f64| all.iter().filter(|y| **y < x).count() as f64 + (all.iter().filter(|y| **y == x).count() as f64 + 1.0) / 2.0;
        let ranks: Vec<f64> = all.iter().map(|x| rank(*x)).collect();
        let mean = ranks.iter().sum::<f64>() * a.len() as f64 / all.len() as f64;
        let far = (ranks[..a.len()].iter().sum::<f64>() - mean).abs();
        let sums: Vec<f64> = (0u32..1 << all.len())
            .filter(|choice| choice.count_ones() as usize == a.len())
            .map(|choice| ranks.iter().enumerate().filter(|(i, _)| choice >> i & 1 == 1).map(|(_, r)| r).sum())
            .collect();
        sums.iter().filter(|sum| (*sum - mean).abs() >= far - 1e-9).count() as f64 / sums.len() as f64
    }

    #[test]
    fn the_test_is_exact() {
        for (a, b) in [
            (&[1.0, 2.0, 3.0, 4.0, 5.0][..], &[6.0, 7.0, 8.0, 9.0, 10.0][..]),
            (&[1.0, 1.0, 2.0], &[1.0, 2.0, 2.0, 3.0]),
            (&[5.0, 5.0], &[5.0, 5.0]),
            (&[3.0, 9.0, 4.0, 8.5], &[1.0, 7.0, 7.0]),
        ] {
            assert!((rank_test(a, b) - naive(a, b)).abs() < 1e-12, "{a:?} {b:?}: {} {}", rank_test(a, b), naive(a, b));
        }
        // 2 of 252.
        assert!((rank_test(&[1.0, 2.0, 3.0, 4.0, 5.0], &[6.0, 7.0, 8.0, 9.0, 10.0]) - 2.0 / 252.0).abs() < 1e-12);
    }

    #[test]
    fn equal_runs_are_no_difference_however_many_there_are() {
        let same = [7.0; 12];
        assert_eq!(verdict(&same, &same, 1, 0.0).unwrap(), Verdict { change: 0.0, p: 1.0, noise: Some(0.0), differs: false });
    }

    #[test]
    fn a_difference_must_be_sure_and_worth_telling() {
        let (a, b) = ([100.0, 101.0, 102.0, 103.0, 104.0], [110.0, 111.0, 112.0, 113.0, 114.0]);
        assert!(verdict(&a, &b, 1, 0.01).unwrap().differs);
        assert!(!verdict(&a, &b, 1, 0.20).unwrap().differs, "less than is asked for");
        assert!(!verdict(&a, &b, 12, 0.01).unwrap().differs, "one of many tests needs more runs");
        assert!(verdict(&a, &[], 1, 0.0).is_none());
    }

    #[test]
    fn the_noise_is_what_the_rank_test_does_not_exclude() {
        // Values without ties: a shift is in the interval where the test of the shifted values does not exclude it.
        let mut seed = 7u64;
        let mut next = || {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as f64 / f64::from(1u32 << 31)
        };
        for (n, m, chance) in [(5, 5, 0.0125), (7, 7, 0.0125), (7, 6, 0.05), (9, 7, 0.002), (4, 8, 0.05)] {
            let a: Vec<f64> = (0..n).map(|_| next()).collect();
            let b: Vec<f64> = (0..m).map(|_| 0.4 + next()).collect();
            let (low, high) = interval(&a, &b, chance).unwrap();
            let excluded = |shift: f64| rank_test(&a, &b.iter().map(|b| b - shift).collect::<Vec<f64>>()) <= chance;
            for (shift, wanted) in [(low - 1e-9, true), (low + 1e-9, false), (high - 1e-9, false), (high + 1e-9, true)] {
                assert_eq!(excluded(shift), wanted, "{n} {m} {chance}: {shift} of {low} to {high}");
            }
        }
        assert_eq!(interval(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0], 0.05), None, "too few to exclude any");
    }

    #[test]
    fn what_differs_is_more_than_its_noise_and_what_does_not_is_less() {
        let (a, b) = ([100.0, 101.0, 102.0, 103.0, 104.0], [110.0, 111.0, 112.0, 113.0, 114.0]);
        let told = verdict(&a, &b, 1, 0.01).unwrap();
        assert!(told.noise.unwrap() > 0.0 && told.noise.unwrap() < told.change, "{told:?}");
        let less: Vec<f64> = b.iter().map(|b| b - 20.0).collect();
        let told = verdict(&a, &less, 1, 0.01).unwrap();
        assert!(told.differs && told.change < 0.0 && told.noise.unwrap() < -told.change, "{told:?}");
        let none = verdict(&a, &a, 1, 0.01).unwrap();
        assert!(!none.differs && none.noise.unwrap() >= 0.01, "{none:?}");
        assert_eq!(verdict(&a[..3], &b[..3], 4, 0.01).unwrap().noise, None);
        // From nothing to something: no share of nothing.
        let from_none = verdict(&[0.0; 7], &[1.0; 7], 1, 0.01).unwrap();
        assert!(from_none.differs && from_none.change.is_infinite(), "{from_none:?}");
    }

    #[test]
    fn so_few_runs_can_tell_a_difference_and_one_fewer_cannot() {
        for tests in [1, 4, 12, 40] {
            let n = fewest_runs(tests);
            let far = |n: usize| {
                let low: Vec<f64> = (0..n).map(|i| i as f64).collect();
                let high: Vec<f64> = (0..n).map(|i| 1000.0 + i as f64).collect();
                verdict(&low, &high, tests, 0.0).unwrap().differs
            };
            assert!(far(n) && !far(n - 1), "{tests} tests, {n} runs");
        }
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_two() {
        assert_eq!(summary(&[4.0, 1.0, 3.0, 2.0]), Some(Summary { median: 2.5, low: 1.0, high: 4.0 }));
        assert_eq!(summary(&[]), None);
    }
}
