//! The plot as an SVG picture that needs nothing beside it: axes, points, fits, in light and dark.
//!
//! Holds: [`svg`]. Never does: let a name from outside be markup.

use std::fmt::Write as _;
use std::io::{self, Write};

use analyses::growth::Fit;
use analyses::scale::Figures;

use super::{counted, formula, seconds, Answer};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 400.0;
/// Of a plot: where the left one begins, and how big it is.
const LEFT: f64 = 78.0;
const TOP: f64 = 92.0;
const PLOT_WIDTH: f64 = 318.0;
const PLOT_HEIGHT: f64 = 244.0;
/// From one plot to the other.
const APART: f64 = 432.0;
/// More labels on an axis run into each other.
const LABELS_MOST: i32 = 6;

/// Plain colours and one override, as not every program that shows pictures knows more of CSS.
const STYLE: &str = "\
.paper{fill:#fff}text{font:12px system-ui,sans-serif;fill:#1b1f24}.title{font-size:15px;font-weight:600}.soft{fill:#5b6470}
.grid{stroke:#e3e6ea}.axis{stroke:#5b6470;fill:none}.fit{fill:none;stroke-width:1.5;stroke-dasharray:5 4}
circle.time{fill:#b4430f}circle.peak{fill:#0b62b8}circle.held{fill:#157347}
path.time{stroke:#b4430f}path.peak{stroke:#0b62b8}path.held{stroke:#157347}
@media(prefers-color-scheme:dark){.paper{fill:#15181c}text{fill:#e8eaed}.soft{fill:#a3abb5}.grid{stroke:#30363d}.axis{stroke:#a3abb5}
circle.time{fill:#ff9d66}circle.peak{fill:#7ab8ff}circle.held{fill:#63cf95}
path.time{stroke:#ff9d66}path.peak{stroke:#7ab8ff}path.held{stroke:#63cf95}}";

/// Values below this of the largest are not drawn: an axis has so many decades.
const DECADES_MOST: f64 = 9.0;

/// What is drawn in one plot.
struct Series<'a> {
    class: &'static str,
    name: &'static str,
    /// What may lie under another is the larger.
    radius: f64,
    of: fn(&Figures) -> f64,
    fit: Option<&'a Fit>,
}

/// One plot of the two.
struct Plot<'a> {
    title: &'static str,
    series: Vec<Series<'a>>,
    unit: fn(f64) -> String,
    /// Below this nothing is drawn.
    floor: f64,
}

/// Writes the picture.
pub fn svg(out: &mut dyn Write, answer: &Answer<'_>) -> io::Result<()> {
    let g = &answer.growths;
    let time = Plot {
        title: "time",
        series: vec![Series { class: "time", name: "time", radius: 3.5, of: |f| f.seconds, fit: g.time.as_ref() }],
        unit: seconds,
        floor: 1e-9,
    };
    let memory = Plot {
        title: "memory that the call adds",
        series: vec![
            Series { class: "peak", name: "peak", radius: 5.0, of: |f| f.peak_bytes, fit: g.peak.as_ref() },
            Series { class: "held", name: "held", radius: 3.0, of: |f| f.held_bytes, fit: g.held.as_ref() },
        ],
        unit: decimal,
        floor: 1024.0,
    };
    let input = answer.input.map(|input| format!(" of {input}")).unwrap_or_default();
    let name = escaped(&format!("{}{input}", answer.function));
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\">\n\
         <title>Growth of {name}</title>\n<style>{STYLE}</style>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" class=\"paper\"/>\n\
         <text class=\"title\" x=\"20\" y=\"30\">{name}</text>\n\
         <text class=\"soft\" x=\"20\" y=\"50\">Python {}, {} of each n in fresh processes; both axes logarithmic</text>",
        escaped(answer.python),
        crate::text::counted(answer.repeat.into(), "run")
    )?;
    out.write_all(drawn(&time, answer, LEFT).as_bytes())?;
    out.write_all(drawn(&memory, answer, LEFT + APART).as_bytes())?;
    writeln!(out, "</svg>")
}

fn drawn(plot: &Plot<'_>, answer: &Answer<'_>, left: f64) -> String {
    let mut s = String::new();
    // A String takes all that is written to it.
    let _ = write_plot(&mut s, plot, answer, left);
    s
}

fn write_plot(s: &mut String, plot: &Plot<'_>, answer: &Answer<'_>, left: f64) -> std::fmt::Result {
    let values = |one: &Series<'_>| -> Vec<(f64, f64)> {
        let all = answer.points.iter().filter_map(|p| p.outcome.as_ref().ok().map(|f| (p.n as f64, (one.of)(f))));
        all.filter(|(_, y)| *y >= plot.floor).collect()
    };
    let all: Vec<(f64, f64)> = plot.series.iter().flat_map(values).collect();
    let bounds = |of: fn(&(f64, f64)) -> f64| {
        let (low, high) = all.iter().map(of).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        (low.log10(), high.log10())
    };
    writeln!(s, "<text x=\"{left}\" y=\"{:.0}\" style=\"font-weight:600\">{}</text>", TOP - 14.0, plot.title)?;
    let ((x_low, x_high), (y_low, y_high)) = (bounds(|v| v.0), bounds(|v| v.1));
    if !(x_low.is_finite() && y_low.is_finite()) {
        return writeln!(s, "<text class=\"soft\" x=\"{left}\" y=\"{:.0}\">nothing above what can be measured</text>", TOP + 20.0);
    }
    let (x_low, x_high) = if x_high - x_low < 0.1 { (x_low - 0.1, x_high + 0.1) } else { (x_low, x_high) };
    // Whole decades, two at least: a flat line shall look flat.
    let (bottom, top) = (y_low.max(y_high - DECADES_MOST).floor(), y_high.ceil());
    let (bottom, top) = if top - bottom < 2.0 { (bottom - 1.0, top.max(bottom + 1.0)) } else { (bottom, top) };
    let x_at = |n: f64| left + (n.log10() - x_low) / (x_high - x_low) * PLOT_WIDTH;
    let y_at = |y: f64| TOP + (top - y.log10()) / (top - bottom) * PLOT_HEIGHT;
    let floor = TOP + PLOT_HEIGHT;
    let step = ((top - bottom) as i32 / LABELS_MOST + 1).max(1);
    for decade in (bottom as i32..=top as i32).step_by(step as usize) {
        let y = y_at(10f64.powi(decade));
        writeln!(s, "<path class=\"grid\" d=\"M{left} {y:.1}h{PLOT_WIDTH}\"/>")?;
        let label = escaped(&label(10f64.powi(decade), plot.unit));
        writeln!(s, "<text class=\"soft\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{label}</text>", left - 8.0, y + 4.0)?;
    }
    // The sizes themselves are the ticks: the first, the last, and one in the middle.
    let sizes: Vec<u64> = answer.points.iter().map(|p| p.n).collect();
    let ticks = [sizes.first(), sizes.get(sizes.len() / 2), sizes.last()];
    for n in ticks.into_iter().flatten() {
        let x = x_at(*n as f64);
        if (left - 0.5..=left + PLOT_WIDTH + 0.5).contains(&x) {
            writeln!(s, "<path class=\"axis\" d=\"M{x:.1} {floor}v5\"/>")?;
            writeln!(s, "<text class=\"soft\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>", floor + 20.0, counted(*n))?;
        }
    }
    writeln!(s, "<text class=\"soft\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">n</text>", left + PLOT_WIDTH, floor + 34.0)?;
    writeln!(s, "<path class=\"axis\" d=\"M{left} {TOP}v{PLOT_HEIGHT}h{PLOT_WIDTH}\"/>")?;
    let mut key = left;
    for one in &plot.series {
        if let Some(fit) = one.fit {
            let path = curve(fit, (x_low, x_high), (bottom, top), &x_at, &y_at);
            writeln!(s, "<path class=\"fit {}\" d=\"{path}\"/>", one.class)?;
        }
        for (n, y) in values(one).iter().filter(|(_, y)| y.log10() >= bottom) {
            writeln!(s, "<circle class=\"{}\" r=\"{}\" cx=\"{:.1}\" cy=\"{:.1}\"/>", one.class, one.radius, x_at(*n), y_at(*y))?;
        }
        let words = one.fit.map_or_else(|| one.name.to_string(), |fit| format!("{}: {}", one.name, classes(fit)));
        writeln!(s, "<g class=\"key\"><circle class=\"{}\" r=\"4\" cx=\"{:.1}\" cy=\"{:.1}\"/>", one.class, key + 4.0, floor + 43.0)?;
        writeln!(s, "<text x=\"{:.1}\" y=\"{:.1}\">{words}</text></g>", key + 14.0, floor + 47.0)?;
        key += 160.0;
    }
    Ok(())
}

/// Of a decade: binary units have none.
fn decimal(bytes: f64) -> String {
    match bytes {
        b if b < 999.0 => format!("{b:.0} B"),
        b if b < 999e3 => format!("{:.0} kB", b / 1e3),
        b if b < 999e6 => format!("{:.0} MB", b / 1e6),
        b if b < 999e9 => format!("{:.0} GB", b / 1e9),
        b => format!("{:.0} TB", b / 1e12),
    }
}

/// What a label of an axis says: a round number of the unit.
fn label(value: f64, unit: fn(f64) -> String) -> String {
    let label = unit(value);
    match label.split_once(' ') {
        Some((number, unit)) if number.contains('.') => format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.')),
        _ => label,
    }
}

/// `class n`, or what is not told apart from it.
fn classes(fit: &Fit) -> String {
    match fit.rivals.as_slice() {
        [] => format!("class {}", formula(fit.class)),
        [other] => format!("{} or {}", formula(fit.class), formula(other.class)),
        _ => "undecided".into(),
    }
}

/// The fit as far as it is in the plot.
fn curve(
    fit: &Fit,
    (x_low, x_high): (f64, f64),
    (bottom, top): (f64, f64),
    x_at: &dyn Fn(f64) -> f64,
    y_at: &dyn Fn(f64) -> f64,
) -> String {
    const STEPS: i32 = 80;
    let mut path = String::new();
    for i in 0..=STEPS {
        let n = 10f64.powf(x_low + (x_high - x_low) * f64::from(i) / f64::from(STEPS));
        let y = fit.at(n);
        if y > 0.0 && (bottom..=top + 0.05).contains(&y.log10()) {
            let word = if path.is_empty() { 'M' } else { 'L' };
            let _ = write!(path, "{word}{:.1} {:.1}", x_at(n), y_at(y));
        }
    }
    path
}

/// As text of XML, which has no control characters at all.
fn escaped(text: &str) -> String {
    let text = crate::text::escaped(text);
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
