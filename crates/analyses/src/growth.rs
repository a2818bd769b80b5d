//! How a figure grows with the size of the input: which complexity class, with which factor, and how surely.
//!
//! Holds: [`Class`], [`fit`], [`Fit`], and what follows of it ([`Fit::at`], [`Fit::reaches`]). Never does: measure.
//! How it decides: for each class `constant + factor · f(n)` is fitted by least squares, weighted so that each size counts by its relative
//! error, down to the floor below which the measurement says nothing ([`Noise`]). A class is out when its weighted squares exceed the best
//! one's by more than the noise explains (Student's t² for the degrees of freedom left; at least 6, which is what Burnham and Anderson,
//! "Model Selection and Multimodel Inference", call considerably less support). Of what is left the simplest is the answer, and the others
//! are named: the data cannot tell. Leaving one size out was the alternative: with eight sizes over three decades it decides by the last
//! one alone.

/// A difference of weighted squares in units of the noise (AIC's, as all classes that grow have two coefficients).
const CONSIDERABLY_LESS: f64 = 6.0;
/// Student's t² at 5 % / 6 is about three times that at 5 %, for 4 to 10 degrees of freedom.
const OF_SEVERAL: f64 = 3.0;
/// What is off by so much of itself, in the mean, is not flat.
const UNEVEN: f64 = 0.25;
/// No size is larger.
const MOST: u64 = 1 << 62;

/// A complexity class, simplest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// It does not grow.
    One,
    /// Logarithm to base 2.
    Log,
    /// n.
    Linear,
    /// n · log2 n.
    Linearithmic,
    /// n².
    Square,
    /// n³.
    Cube,
    /// 2ⁿ.
    Exponential,
}

impl Class {
    /// All, simplest first.
    pub const ALL: [Class; 7] =
        [Class::One, Class::Log, Class::Linear, Class::Linearithmic, Class::Square, Class::Cube, Class::Exponential];

    /// f(n).
    pub fn at(self, n: f64) -> f64 {
        match self {
            Class::One => 1.0,
            Class::Log => n.log2(),
            Class::Linear => n,
            Class::Linearithmic => n * n.log2(),
            Class::Square => n * n,
            Class::Cube => n * n * n,
            Class::Exponential => n.exp2(),
        }
    }

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Class::One => "1",
            Class::Log => "log n",
            Class::Linear => "n",
            Class::Linearithmic => "n log n",
            Class::Square => "n²",
            Class::Cube => "n³",
            Class::Exponential => "2ⁿ",
        }
    }
}

/// How exactly values are known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Of each value, whatever its size: pages, arenas, the clock.
    pub floor: f64,
    /// Of each value, as a share of it.
    pub share: f64,
    /// The constant is not below this: what was free already before is taken first, so that a line may begin a little below zero.
    pub constant_least: f64,
}

/// `constant + factor · f(n)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The simplest class that explains the data.
    pub class: Class,
    /// What does not grow.
    pub constant: f64,
    /// Zero for [`Class::One`].
    pub factor: f64,
    /// Of the factor (of the constant for [`Class::One`]), as a share of it: 95 % confidence.
    pub error: f64,
    /// The mean relative distance of the data from the line, the floor of the noise taken off.
    pub residual: f64,
    /// Classes beside it that explain the data as well: undecided. Empty where it is sure.
    pub rivals: Vec<Other>,
    /// The class that comes nearest of those that do not.
    pub sure_against: Option<Class>,
}

/// Another class that cannot be told from the answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Other {
    /// Which.
    pub class: Class,
    /// Its constant.
    pub constant: f64,
    /// Its factor.
    pub factor: f64,
}

impl Fit {
    /// The value at this size.
    pub fn at(&self, n: f64) -> f64 {
        self.constant + growth(self.class, self.factor, n)
    }

    /// The largest size whose value is within the limit, and the range of it over the classes that are not told apart and the factor's
    /// error. `None` where it does not grow, or where nothing fits.
    pub fn reaches(&self, limit: f64) -> Option<Reach> {
        let steepest = || self.rivals.iter().filter_map(|o| largest(o.class, o.constant, o.factor, limit)).min();
        if self.class == Class::One {
            // It may not grow at all.
            return steepest().map(|n| Reach { n, low: n, high: MOST });
        }
        let n = largest(self.class, self.constant, self.factor, limit)?;
        let sides = [1.0 - self.error, 1.0 + self.error];
        let own = sides.iter().filter_map(|side| largest(self.class, self.constant, self.factor * side, limit));
        let others = self.rivals.iter().filter_map(|o| largest(o.class, o.constant, o.factor, limit));
        let all: Vec<u64> = own.chain(others).chain([n]).collect();
        Some(Reach { n, low: all.iter().copied().min()?, high: all.iter().copied().max()? })
    }
}

/// What fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// By the line.
    pub n: u64,
    /// By the steepest that explains the data.
    pub low: u64,
    /// By the flattest.
    pub high: u64,
}

/// Fits sizes (growing, 1 or more) and their values. `None` of fewer than three sizes or of values that are no numbers.
pub fn fit(points: &[(f64, f64)], noise: Noise) -> Option<Fit> {
    if points.len() < 3 || points.iter().any(|(n, y)| !(n.is_finite() && *n >= 1.0 && y.is_finite())) {
        return None;
    }
    let tried: Vec<Line> = Class::ALL.iter().filter_map(|class| line(*class, points, noise)).collect();
    let best = tried.iter().map(|l| l.distance).fold(f64::INFINITY, f64::min);
    let free = points.len() - 2;
    let t = student(free);
    // Where even the best is worse than the noise that was assumed, the data is noisier: steps of growing tables, a loaded machine.
    let scale = (best / free as f64).max(1.0);
    let beyond = |l: &Line| (l.distance - best) / scale;
    let near = (t * t).max(CONSIDERABLY_LESS);
    // That it grows at all is said by the best of six: chance has so many tries.
    let bound = |l: &Line| if l.class == Class::One { near * OF_SEVERAL } else { near };
    let (left, out): (Vec<&Line>, Vec<&Line>) = tried.iter().partition(|l| beyond(l) <= bound(l));
    let answer = left.first()?;
    let value = if answer.class == Class::One { answer.constant.abs() } else { answer.factor };
    let distance = points.iter().map(|(n, y)| {
        let off = (answer.constant + growth(answer.class, answer.factor, *n) - y).abs();
        (off - noise.floor).max(0.0) / y.abs().max(noise.floor).max(f64::MIN_POSITIVE)
    });
    let residual = distance.sum::<f64>() / points.len() as f64;
    // That it does not grow is said where it is flat; of what is too uneven for any class, all that were left are named.
    let flat = answer.class == Class::One && residual < UNEVEN;
    let rivals = if flat { &[] } else { left.get(1..).unwrap_or_default() };
    Some(Fit {
        class: answer.class,
        constant: answer.constant,
        factor: answer.factor,
        error: if value > 0.0 { t * (answer.variance * (answer.squares / free as f64).max(1.0)).sqrt() / value } else { 0.0 },
        residual,
        rivals: rivals.iter().map(|l| Other { class: l.class, constant: l.constant, factor: l.factor }).collect(),
        sure_against: out.iter().min_by(|a, b| a.distance.total_cmp(&b.distance)).map(|l| l.class),
    })
}

/// One class, fitted.
struct Line {
    class: Class,
    constant: f64,
    factor: f64,
    /// Weighted squares of what it leaves: what is least for this class.
    squares: f64,
    /// By what classes are compared: the same with each weight by the smaller of value and line. By the value alone a line of next to
    /// nothing would be wrong by 100 % at most, however far the values rise above it.
    distance: f64,
    /// Of the factor; of the constant where there is no other.
    variance: f64,
}

/// `None` where f(n) is no number: 2ⁿ of thousands.
fn line(class: Class, points: &[(f64, f64)], noise: Noise) -> Option<Line> {
    let top = points.iter().map(|(n, _)| class.at(*n)).fold(0.0, f64::max);
    if !(top.is_finite() && top > 0.0) {
        return None;
    }
    // Weight, f(n) from 0 to 1, value.
    let rows: Vec<(f64, f64, f64)> = points
        .iter()
        .map(|(n, y)| (1.0 / (noise.floor.powi(2) + (noise.share * y).powi(2)).max(f64::MIN_POSITIVE), class.at(*n) / top, *y))
        .collect();
    let sum = |of: fn(f64, f64, f64) -> f64| rows.iter().map(|(w, x, y)| of(*w, *x, *y)).sum::<f64>();
    let (w, wx, wxx) = (sum(|w, _, _| w), sum(|w, x, _| w * x), sum(|w, x, _| w * x * x));
    let (wy, wxy) = (sum(|w, _, y| w * y), sum(|w, x, y| w * x * y));
    let flat = ((wy / w).max(noise.constant_least), 0.0, 1.0 / w);
    let (constant, factor, variance) = if class == Class::One {
        flat
    } else {
        let det = w * wxx - wx * wx;
        let free = (wxx * wy - wx * wxy) / det;
        let (constant, factor, variance) = if free.is_finite() && free >= noise.constant_least {
            (free, (w * wxy - wx * wy) / det, w / det)
        } else {
            let constant = noise.constant_least;
            (constant, (wxy - wx * constant) / wxx, 1.0 / wxx)
        };
        // What falls with n grows in no class.
        if factor > 0.0 {
            (constant, factor, variance)
        } else {
            flat
        }
    };
    let squares: f64 = rows.iter().map(|(w, x, y)| w * (constant + factor * x - y).powi(2)).sum();
    let apart = |x: f64, y: f64| {
        let line = constant + factor * x;
        (line - y).powi(2) / (noise.floor.powi(2) + (noise.share * y.abs().min(line.abs())).powi(2)).max(f64::MIN_POSITIVE)
    };
    let distance: f64 = rows.iter().map(|(_, x, y)| apart(*x, *y)).sum();
    let variance = if class == Class::One { variance } else { variance / top / top };
    let line = Line { class, constant, factor: factor / top, squares, distance, variance };
    (squares.is_finite() && distance.is_finite()).then_some(line)
}

fn growth(class: Class, factor: f64, n: f64) -> f64 {
    // 0 · ∞ is no number.
    if class == Class::One || factor == 0.0 {
        0.0
    } else {
        factor * class.at(n)
    }
}

/// By halving: f grows.
fn largest(class: Class, constant: f64, factor: f64, limit: f64) -> Option<u64> {
    let within = |n: u64| constant + growth(class, factor, n as f64) <= limit;
    if class == Class::One || factor <= 0.0 || !within(1) {
        return None;
    }
    let (mut low, mut high) = (1, MOST);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if within(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(low)
}

/// Student's t: 97.5 % for so many degrees of freedom (any table of it).
fn student(free: usize) -> f64 {
    const TABLE: [f64; 10] = [12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23];
    TABLE.get(free.saturating_sub(1)).copied().unwrap_or(2.1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    const MEMORY: Noise = Noise { floor: 131_072.0, share: 0.005, constant_least: -1_048_576.0 };

    /// The same numbers each time.
    struct Dice(u64);

    impl Dice {
        /// From -1 to 1.
        fn roll(&mut self) -> f64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        }
    }

    fn sizes(class: Class) -> Vec<f64> {
        let (low, high): (f64, f64) = if class == Class::Exponential { (8.0, 26.0) } else { (1e3, 1e6) };
        (0..8).map(|i| (low * (high / low).powf(f64::from(i) / 7.0)).round()).collect()
    }

    fn planted(class: Class, constant: f64, top: f64, spread: f64, dice: &mut Dice) -> (f64, Vec<(f64, f64)>) {
        let sizes = sizes(class);
        let factor = top / class.at(*sizes.last().unwrap());
        let value = |n: f64| (constant + factor * class.at(n)) * (1.0 + spread * dice.roll());
        let mut value = value;
        (factor, sizes.iter().map(|n| (*n, value(*n))).collect())
    }

    /// For each factor the best constant is known; the best factor is found by thirds, since what is left is convex in it.
    fn naive(class: Class, points: &[(f64, f64)], noise: Noise) -> (f64, f64, f64) {
        let weight = |y: f64| 1.0 / (noise.floor.powi(2) + (noise.share * y).powi(2));
        let with = |factor: f64| {
            let sum: f64 = points.iter().map(|(_, y)| weight(*y)).sum();
            let mean: f64 = points.iter().map(|(n, y)| weight(*y) * (y - factor * class.at(*n))).sum::<f64>() / sum;
            let constant = mean.max(noise.constant_least);
            let squares = points.iter().map(|(n, y)| weight(*y) * (constant + factor * class.at(*n) - y).powi(2)).sum::<f64>();
            (constant, factor, squares)
        };
        let (mut low, mut high) = (0.0, points.iter().map(|(n, y)| 3.0 * y.abs() / class.at(*n)).fold(0.0, f64::max));
        for _ in 0..300 {
            let third = (high - low) / 3.0;
            if with(low + third).2 < with(high - third).2 {
                high -= third;
            } else {
                low += third;
            }
        }
        with(low)
    }

    #[test]
    fn each_line_is_the_least_squares() {
        let mut dice = Dice(7);
        for class in Class::ALL.into_iter().filter(|c| *c != Class::One) {
            for (constant, spread) in [(0.0, 0.2), (3e6, 0.02), (5e7, 0.3), (-4e6, 0.0)] {
                let (_, points) = planted(class, constant, 1e8, spread, &mut dice);
                for tried in Class::ALL.into_iter().filter(|c| *c != Class::One) {
                    let Some(line) = line(tried, &points, MEMORY) else { continue };
                    let (constant, factor, squares) = naive(tried, &points, MEMORY);
                    assert!((line.squares - squares).abs() <= 1e-6 * squares + 1e-6, "{class:?} as {tried:?}: {} {squares}", line.squares);
                    let near = |a: f64, b: f64| (a - b).abs() <= 1e-3 * b.abs() + 1e3;
                    let top = tried.at(points.last().unwrap().0);
                    assert!(near(line.constant, constant) && near(line.factor * top, factor * top), "{class:?} as {tried:?}");
                }
            }
        }
    }

    #[test]
    fn planted_classes_are_found_with_their_factor() {
        let mut dice = Dice(1);
        for class in Class::ALL {
            for _ in 0..50 {
                let (factor, points) = planted(class, 3e6, 3e8, 0.003, &mut dice);
                let found = fit(&points, MEMORY).unwrap();
                assert_eq!((found.class, found.rivals.as_slice()), (class, &[][..]), "{points:?} {found:?}");
                if class == Class::One {
                    assert_eq!(found.factor, 0.0);
                } else {
                    assert!((found.factor / factor - 1.0).abs() < 0.05, "{class:?}: {found:?}, planted {factor}");
                    assert!((found.factor / factor - 1.0).abs() < found.error * 2.0, "{class:?}: {found:?}, planted {factor}");
                }
            }
        }
    }

    #[test]
    fn noise_of_clocks_is_not_taken_for_a_class() {
        let clock = Noise { floor: 1e-7, share: 0.05, constant_least: 0.0 };
        let mut dice = Dice(3);
        for (class, top) in [(Class::One, 1e-3), (Class::Log, 0.5), (Class::Linear, 0.5), (Class::Linearithmic, 0.5), (Class::Square, 5.0)]
        {
            for _ in 0..100 {
                let (_, points) = planted(class, 1e-6, top, 0.1, &mut dice);
                let found = fit(&points, clock).unwrap();
                let named = found.class == class || found.rivals.iter().any(|o| o.class == class);
                assert!(named, "{class:?}: {found:?} {points:?}");
                // Neighbours may not be told apart; others are.
                assert!((found.class as i32 - class as i32).abs() <= 1 && found.rivals.len() <= 2, "{class:?}: {found:?}");
            }
        }
    }

    #[test]
    fn what_the_sizes_cannot_tell_is_not_told() {
        // n and n log n over a factor of two, seen to 2 %.
        let loose = Noise { floor: 1.0, share: 0.02, constant_least: 0.0 };
        let points: Vec<(f64, f64)> = [1000.0, 1300.0, 1600.0, 2000.0].iter().map(|n: &f64| (*n, n * n.log2())).collect();
        let found = fit(&points, loose).unwrap();
        assert_eq!(found.class, Class::Linear);
        assert!(found.rivals.iter().any(|o| o.class == Class::Linearithmic), "{found:?}");
        let reach = found.reaches(1e6).unwrap();
        assert!(reach.low < reach.n && reach.n <= reach.high, "{reach:?}");
    }

    #[test]
    fn a_rise_that_follows_no_class_is_a_rise() {
        // Lists on a busy machine: calls of more than a millisecond were five times as slow as they should have been.
        let clock = Noise { floor: 1e-7, share: 0.05, constant_least: 0.0 };
        let seconds = [89.1e-6, 204e-6, 1.12e-3, 7.62e-3, 17.3e-3, 45.7e-3, 96.9e-3, 0.238];
        let sizes = [1000.0, 2259.0, 5102.0, 11_525.0, 26_031.0, 58_799.0, 132_815.0, 300_000.0];
        let points: Vec<(f64, f64)> = sizes.into_iter().zip(seconds).collect();
        let found = fit(&points, clock).unwrap();
        assert!(matches!(found.class, Class::Linear | Class::Linearithmic) && found.error < 1.0, "{found:?}");
    }

    #[test]
    fn what_is_below_the_floor_does_not_grow() {
        let points: Vec<(f64, f64)> = sizes(Class::Linear).iter().map(|n| (*n, n * 0.1)).collect();
        let found = fit(&points, MEMORY).unwrap();
        assert_eq!((found.class, found.reaches(1e9)), (Class::One, None));
    }

    #[test]
    fn what_fits_is_where_the_line_crosses() {
        let line = |class, constant, factor| Fit { class, constant, factor, error: 0.0, residual: 0.0, rivals: vec![], sure_against: None };
        for (class, constant, factor, limit, n) in [
            (Class::Linear, 3e6, 412.0, 8e9, Some(19_410_194)),
            (Class::Square, 0.0, 2.0, 200.0, Some(10)),
            (Class::Exponential, 0.0, 1.0, 1025.0, Some(10)),
            (Class::Log, 0.0, 1.0, 20.5, Some(1_482_910)),
            (Class::Linear, 5.0, 1.0, 5.0, None),
            (Class::One, 5.0, 0.0, 50.0, None),
        ] {
            assert_eq!(line(class, constant, factor).reaches(limit).map(|r| r.n), n, "{class:?}");
        }
    }

    #[test]
    fn what_is_too_uneven_for_a_class_is_not_said_to_be_flat() {
        // Four single runs on a busy machine.
        let clock = Noise { floor: 1e-7, share: 0.05, constant_least: 0.0 };
        let points = [(1000.0, 9.01e-3), (2000.0, 1.75e-3), (4000.0, 59.4e-3), (5000.0, 72.3e-3)];
        let found = fit(&points, clock).unwrap();
        assert!(!(found.class == Class::One && found.rivals.is_empty()), "{found:?}");
        let reach = found.reaches(60.0).unwrap();
        assert!(reach.low >= 5000 && reach.high / reach.low > 20, "{reach:?}");
    }

    #[test]
    fn too_little_is_no_fit() {
        assert_eq!(fit(&[(1.0, 1.0), (2.0, 2.0)], MEMORY), None);
        assert_eq!(fit(&[(1.0, 1.0), (2.0, f64::NAN), (3.0, 3.0)], MEMORY), None);
        assert_eq!(fit(&[(0.0, 1.0), (2.0, 2.0), (3.0, 3.0)], MEMORY), None);
        // Sizes of thousands: 2ⁿ is no number there, the others are.
        assert!(fit(&[(1e3, 1.0), (1e4, 2.0), (1e5, 3.0)], MEMORY).is_some());
    }
}
