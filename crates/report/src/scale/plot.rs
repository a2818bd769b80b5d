//! The plot in text: time and peak over n, both axes logarithmic, so that a slope is a class.
//!
//! Holds: [`lines`]. Each of the two has its own unit and both the same decades a row; the fits are dots.

use analyses::growth::Fit;
use analyses::scale::{Figures, MEMORY_FLOOR_BYTES};

use super::Answer;

/// What is drawn: the mark, the values, the line.
struct Series<'a> {
    mark: char,
    values: Vec<(f64, f64)>,
    fit: Option<&'a Fit>,
}

/// So many lines of so many columns, the legend first; nothing where there is nothing to draw.
pub(super) fn lines(answer: &Answer<'_>, columns: usize, rows: usize) -> Vec<String> {
    let values = |of: fn(&Figures) -> f64, least: f64| -> Vec<(f64, f64)> {
        let all = answer.points.iter().filter_map(|p| p.outcome.as_ref().ok().map(|f| ((p.n as f64).ln(), of(f))));
        all.filter(|(_, y)| *y > least).map(|(x, y)| (x, y.ln())).collect()
    };
    let series = [
        Series { mark: '*', values: values(|f| f.seconds, 0.0), fit: answer.growths.time.as_ref() },
        Series { mark: 'o', values: values(|f| f.peak_bytes, MEMORY_FLOOR_BYTES / 4.0), fit: answer.growths.peak.as_ref() },
    ];
    let bounds = |of: fn(&(f64, f64)) -> f64, values: &mut dyn Iterator<Item = &(f64, f64)>| {
        values.map(of).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let (left, right) = bounds(|v| v.0, &mut series.iter().flat_map(|s| &s.values));
    // At least two decades: a flat line shall look flat.
    let height = series.iter().map(|s| bounds(|v| v.1, &mut s.values.iter())).map(|(low, high)| high - low).fold(100f64.ln(), f64::max);
    if !(right > left && height.is_finite()) {
        return Vec::new();
    }
    let width = columns.saturating_sub(1).max(2);
    let mut canvas = vec![vec![' '; width]; rows.saturating_sub(1).max(2)];
    let deepest = canvas.len() - 1;
    let mut put = |x: f64, y: f64, top: f64, mark: char| {
        let column = ((x - left) / (right - left) * (width - 1) as f64).round();
        let row = ((top - y) / height * deepest as f64).round();
        if !(column >= 0.0 && row >= 0.0) {
            return;
        }
        if let Some(cell) = canvas.get_mut(row as usize).and_then(|line| line.get_mut(column as usize)) {
            *cell = match (*cell, mark) {
                ('*', 'o') | ('o', '*') | ('@', _) => '@',
                (' ', '.') | (_, '*' | 'o') => mark,
                (there, _) => there,
            };
        }
    };
    for drawn in [true, false] {
        for one in &series {
            let (_, top) = bounds(|v| v.1, &mut one.values.iter());
            match one.fit.filter(|_| drawn) {
                Some(fit) => (0..width).for_each(|i| {
                    let x = left + (right - left) * i as f64 / (width - 1) as f64;
                    let value = fit.at(x.exp());
                    if value > 0.0 {
                        put(x, value.ln(), top, '.');
                    }
                }),
                None if !drawn => one.values.iter().for_each(|(x, y)| put(*x, *y, top, one.mark)),
                None => {}
            }
        }
    }
    let legend = "log-log: * time  o peak  . fit".to_string();
    let body = canvas.iter().map(|line| format!("│{}", line.iter().collect::<String>()).trim_end().to_string());
    let axis = format!("└{}", "─".repeat(width));
    std::iter::once(legend).chain(body).chain([axis]).collect()
}
