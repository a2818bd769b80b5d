//! Whether two sets of measurements differ by more than their noise.
//!
//! Holds: [`summary`] (median and range), [`verdict`] (an exact test of signed ranks), [`fewest_runs`].
//! Never does: assume a distribution: times of programs have long tails, and sizes come in steps; take runs for independent: a machine's
//! neighbours slow it down for seconds, which two programs that run in turns share (measured: times of one round correlate by 0.5).
//! Source: Wilcoxon, "Individual comparisons by ranking methods", 1945; ties by midranks, the distribution by counting, so that it is
//! exact for any number of runs and any ties.

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

/// Whether the second of each pair differs from the first, as one of so many `tests` in a comparison (their chances to err add up to 5 % at
/// most), by at least the share `least` of the first. A pair is what both variants took in one round: what slows a machine down for some
/// rounds slows both. `None` where there is no pair.
pub fn verdict(pairs: &[(f64, f64)], tests: usize, least: f64) -> Option<Verdict> {
    let (base, other): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let (first, second) = (summary(&base)?.median, summary(&other)?.median);
    let change = if first == second { 0.0 } else { second / first - 1.0 };
    let shifts: Vec<f64> = pairs.iter().map(|(a, b)| shift(*a, *b)).collect();
    let p = signed_rank_test(&shifts);
    let chance = CHANCE / tests.max(1) as f64;
    let off = interval(&shifts, chance).map(|(low, high)| match change {
        change if change.is_infinite() => 0.0,
        change if change < 0.0 => (change_of(high) - change).max(0.0),
        change => (change - change_of(low)).max(0.0),
    });
    // Of ties the test and the interval may say different things: a difference is told where both do.
    let differs = p <= chance && change.abs() >= least && off.is_some_and(|off| change.abs() > off);
    let noise = off.map(|off| off.max(least)).map(|noise| if differs || !change.is_finite() { noise } else { noise.max(change.abs()) });
    // What is told to differ is more than its noise: `least` is no part of it there.
    Some(Verdict { change, p, noise: if differs { off } else { noise }, differs })
}

/// How far `b` is from `a`, relative to the mean of both: noise of programs grows with what they take, and 0 may be one of them. As much
/// more is as far as as much less: from -2 to 2.
fn shift(a: f64, b: f64) -> f64 {
    if a == b {
        0.0
    } else {
        2.0 * (b - a) / (b + a)
    }
}

/// The same, relative to `a`.
fn change_of(shift: f64) -> f64 {
    (2.0 + shift) / (2.0 - shift) - 1.0
}

/// Where the shift lies, but for this chance: the interval of all shifts that the test does not exclude, between means of two of them
/// (Hollander, Wolfe and Chicken, "Nonparametric Statistical Methods", 3.3). `None` where that is any shift.
fn interval(shifts: &[f64], chance: f64) -> Option<(f64, f64)> {
    let ranks: Vec<usize> = (1..=shifts.len()).collect();
    let ways = ways(&ranks);
    let total: f64 = ways.iter().sum();
    // So many of the least and of the most means are left out.
    let mut sum = 0.0;
    let left_out = ways
        .iter()
        .take_while(|count| {
            sum += **count;
            2.0 * sum / total <= chance
        })
        .count();
    let pairs = shifts.iter().enumerate().flat_map(|(i, a)| shifts.iter().skip(i).map(move |b| (a + b) / 2.0));
    let mut means: Vec<f64> = pairs.collect();
    means.sort_by(f64::total_cmp);
    let low = means.get(usize::checked_sub(left_out, 1)?)?;
    let high = means.get(means.len().checked_sub(left_out)?)?;
    Some((*low, *high))
}

/// The fewest runs of each variant with which [`verdict`] can tell a difference at all, in so many tests.
pub fn fewest_runs(tests: usize) -> usize {
    // All differences on one side are one of all the ways to lay them, on either side.
    (1..100).find(|n| 2.0 / 2.0f64.powi(*n) <= CHANCE / tests.max(1) as f64).map_or(100, |n| n as usize)
}

/// The two-sided chance of a sum of signed ranks at least so far from 0, by counting all ways to give signs. Pairs without a difference
/// have ranks and no sign (Pratt, 1959).
fn signed_rank_test(shifts: &[f64]) -> f64 {
    let mut sizes: Vec<f64> = shifts.iter().map(|s| s.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    // Twice the midrank, a whole number: places of equals run from `below` to `below + equal`.
    let rank = |size: f64| {
        let below = sizes.partition_point(|x| x.total_cmp(&size).is_lt());
        let through = sizes.partition_point(|x| x.total_cmp(&size).is_le());
        below + through + 1
    };
    let signed: Vec<(bool, usize)> = shifts.iter().filter(|s| **s != 0.0).map(|s| (*s > 0.0, rank(s.abs()))).collect();
    let ranks: Vec<usize> = signed.iter().map(|(_, rank)| *rank).collect();
    let most: usize = ranks.iter().sum();
    let more: usize = signed.iter().filter(|(is_more, _)| *is_more).map(|(_, rank)| rank).sum();
    // Sums of the positive ones as far from the mean as this one, on either side.
    let far = more.abs_diff(most - more);
    let ways = ways(&ranks);
    let total: f64 = ways.iter().sum();
    ways.iter().enumerate().filter(|(sum, _)| sum.abs_diff(most - sum) >= far).map(|(_, count)| count).sum::<f64>() / total
}

/// By sum: how many choices of these ranks, each taken or not, have it.
fn ways(ranks: &[usize]) -> Vec<f64> {
    let mut ways = vec![0.0f64; ranks.iter().sum::<usize>() + 1];
    if let Some(none) = ways.first_mut() {
        *none = 1.0;
    }
    for &rank in ranks {
        for sum in (rank..ways.len()).rev() {
            let with = ways.get(sum - rank).copied().unwrap_or_default();
            if let Some(count) = ways.get_mut(sum) {
                *count += with;
            }
        }
    }
    ways
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// All ways to give signs, one by one.
    fn naive(shifts: &[f64]) -> f64 {
        let size = |s: f64| s.abs();
        let below = |s: f64| shifts.iter().filter(|x| size(**x) < size(s)).count() as f64;
        let equal = |s: f64| shifts.iter().filter(|x| size(**x) == size(s)).count() as f64;
        let given: Vec<f64> = shifts.iter().filter(|s| **s != 0.0).map(|s| s.signum() * (below(*s) + (equal(*s) + 1.0) / 2.0)).collect();
        let sums: Vec<f64> = (0u32..1 << given.len())
            .map(|signs| given.iter().enumerate().map(|(i, r)| if signs >> i & 1 == 1 { r.abs() } else { -r.abs() }).sum())
            .collect();
        let sum: f64 = given.iter().sum();
        sums.iter().filter(|other| f64::abs(**other) >= sum.abs() - 1e-9).count() as f64 / sums.len() as f64
    }

    fn pairs(a: &[f64], b: &[f64]) -> Vec<(f64, f64)> {
        a.iter().copied().zip(b.iter().copied()).collect()
    }

    #[test]
    fn the_test_is_exact() {
        for shifts in
            [&[0.1, 0.2, 0.3, 0.4, 0.5][..], &[0.1, -0.1, 0.2, 0.2, -0.3, 0.0], &[0.0, 0.0], &[-0.4, 0.1, 0.1, 0.1, -0.2, -0.9, 0.7]]
        {
            assert!((signed_rank_test(shifts) - naive(shifts)).abs() < 1e-12, "{shifts:?}: {}", signed_rank_test(shifts));
        }
        // 2 of 32.
        assert!((signed_rank_test(&[0.1, 0.2, 0.3, 0.4, 0.5]) - 2.0 / 32.0).abs() < 1e-12);
    }

    #[test]
    fn equal_runs_are_no_difference_however_many_there_are() {
        let same = [(7.0, 7.0); 12];
        assert_eq!(verdict(&same, 1, 0.0).unwrap(), Verdict { change: 0.0, p: 1.0, noise: Some(0.0), differs: false });
    }

    const A: [f64; 8] = [100.0, 101.0, 102.0, 103.0, 104.0, 105.0, 106.0, 107.0];
    const B: [f64; 8] = [110.0, 111.0, 112.0, 113.0, 114.0, 115.0, 116.0, 117.0];

    #[test]
    fn a_difference_must_be_sure_and_worth_telling() {
        assert!(verdict(&pairs(&A, &B), 1, 0.01).unwrap().differs);
        assert!(!verdict(&pairs(&A, &B), 1, 0.20).unwrap().differs, "less than is asked for");
        assert!(!verdict(&pairs(&A, &B), 12, 0.01).unwrap().differs, "one of many tests needs more runs");
        assert!(verdict(&[], 1, 0.0).is_none());
    }

    #[test]
    fn what_slows_both_down_hides_no_difference() {
        // Each round is slower than the last, by more than the variants differ.
        let rounds: Vec<(f64, f64)> = (0..9).map(|n| f64::from(1 << n)).map(|slow| (slow, slow * 1.1)).collect();
        let told = verdict(&rounds, 4, 0.01).unwrap();
        assert!(told.differs && (told.change - 0.1).abs() < 1e-9 && told.noise.unwrap() < 0.01, "{told:?}");
    }

    #[test]
    fn the_noise_is_what_the_test_does_not_exclude() {
        // Values without ties: a shift is in the interval where the test of the shifted values does not exclude it.
        let mut seed = 7u64;
        let mut next = || {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as f64 / f64::from(1u32 << 31)
        };
        for (n, chance) in [(8, 0.0125), (9, 0.0125), (6, 0.05), (12, 0.002), (15, 0.05)] {
            let shifts: Vec<f64> = (0..n).map(|_| 0.4 + next()).collect();
            let (low, high) = interval(&shifts, chance).unwrap();
            let excluded = |shift: f64| signed_rank_test(&shifts.iter().map(|s| s - shift).collect::<Vec<f64>>()) <= chance;
            for (shift, wanted) in [(low - 1e-9, true), (low + 1e-9, false), (high - 1e-9, false), (high + 1e-9, true)] {
                assert_eq!(excluded(shift), wanted, "{n} {chance}: {shift} of {low} to {high}");
            }
        }
        assert_eq!(interval(&[0.1, 0.2, 0.3], 0.05), None, "too few to exclude any");
    }

    #[test]
    fn what_differs_is_more_than_its_noise_and_what_does_not_is_less() {
        let told = verdict(&pairs(&A, &B), 1, 0.01).unwrap();
        assert!(told.noise.unwrap() > 0.0 && told.noise.unwrap() < told.change, "{told:?}");
        let less: Vec<f64> = B.iter().map(|b| b - 20.0).collect();
        let told = verdict(&pairs(&A, &less), 1, 0.01).unwrap();
        assert!(told.differs && told.change < 0.0 && told.noise.unwrap() < -told.change, "{told:?}");
        let none = verdict(&pairs(&A, &A), 1, 0.01).unwrap();
        assert!(!none.differs && none.noise.unwrap() >= 0.01, "{none:?}");
        assert_eq!(verdict(&pairs(&A[..3], &B[..3]), 4, 0.01).unwrap().noise, None);
        // From nothing to something: no share of nothing.
        let from_none = verdict(&[(0.0, 1.0); 7], 1, 0.01).unwrap();
        assert!(from_none.differs && from_none.change.is_infinite(), "{from_none:?}");
    }

    #[test]
    fn so_few_runs_can_tell_a_difference_and_one_fewer_cannot() {
        for tests in [1, 4, 12, 40] {
            let n = fewest_runs(tests);
            let far = |n: usize| {
                let pairs: Vec<(f64, f64)> = (0..n).map(|i| (1.0 + i as f64, 1000.0 + i as f64)).collect();
                verdict(&pairs, tests, 0.0).unwrap().differs
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
