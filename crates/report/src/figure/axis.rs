//! Scales, ticks and axes of charts: a quiet frame, horizontal lines to read values by, titles that stand level.

use crate::figure::scene::{Anchor, Scene, Stroke, Text};
use crate::figure::theme::Paint;
use cnnkit_core::number::group_digits;

/// Size of the words at an axis.
const SMALL: f64 = 11.0;

/// A mapping from values to positions on the page.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    from: f64,
    to: f64,
    start: f64,
    end: f64,
    log: bool,
}

impl Scale {
    /// Returns a scale on which equal differences are equally far apart; `page` is where the two values lie.
    pub fn linear((from, to): (f64, f64), (start, end): (f64, f64)) -> Self {
        Self { from, to: if to > from { to } else { from + 1.0 }, start, end, log: false }
    }

    /// Returns a scale on which equal ratios are equally far apart; both values are positive.
    pub fn log((from, to): (f64, f64), page: (f64, f64)) -> Self {
        let from = from.max(f64::MIN_POSITIVE);
        let to = if to > from { to } else { from * 2.0 };
        Self { log: true, ..Self::linear((from.ln(), to.ln()), page) }
    }

    /// Returns where `value` lies on the page.
    pub fn at(&self, value: f64) -> f64 {
        let value = if self.log { value.max(f64::MIN_POSITIVE).ln() } else { value };
        self.start + (value - self.from) / (self.to - self.from) * (self.end - self.start)
    }

    /// Returns round values within the scale, about as many as `wanted`.
    pub fn ticks(&self, wanted: usize) -> Vec<f64> {
        if self.log { self.powers(wanted) } else { self.steps(wanted) }
    }

    /// Returns multiples of 1, 2 or 5 times a power of ten.
    fn steps(&self, wanted: usize) -> Vec<f64> {
        let rough = (self.to - self.from) / wanted.max(1) as f64;
        let exponent = rough.log10().floor() as i32;
        // A division by a whole power rounds once: 15 / 100 is the number that `0.15` is.
        let value = |times: f64| {
            let power = 10f64.powi(exponent.abs());
            if exponent < 0 { times / power } else { times * power }
        };
        let factor = [1.0, 2.0, 5.0].into_iter().find(|&factor| value(factor) >= rough).unwrap_or(10.0);
        let step = value(factor);
        let (first, last) = ((self.from / step - 1e-9).ceil() as i64, (self.to / step + 1e-9).floor() as i64);
        (first..=last).map(|n| value(n as f64 * factor)).collect()
    }

    /// Returns powers of ten, or of two where there are few of them.
    fn powers(&self, wanted: usize) -> Vec<f64> {
        let of = |base: f64| -> Vec<f64> {
            let first = (self.from / base.ln() - 1e-9).ceil() as i32;
            let last = (self.to / base.ln() + 1e-9).floor() as i32;
            (first..=last).map(|power| base.powi(power)).collect()
        };
        let (tens, twos) = (of(10.0), of(2.0));
        let mut found = if tens.len() > 3 { tens } else { twos };
        let every = found.len().div_ceil(wanted.max(1) + 1).max(1);
        let mut n = 0;
        found.retain(|_| {
            n += 1;
            (n - 1) % every == 0
        });
        found
    }
}

/// The place of a chart on the page, with its scales.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// Left end.
    pub left: f64,
    /// Right end.
    pub right: f64,
    /// Upper end.
    pub top: f64,
    /// Lower end.
    pub bottom: f64,
}

impl Frame {
    /// Draws lines to read values by, their labels on the left, and the title of the axis above it.
    pub fn draw_y(&self, scene: &mut Scene, scale: &Scale, ticks: &[(f64, String)], title: &str) {
        for (value, label) in ticks {
            let y = scale.at(*value);
            scene.line(&[(self.left, y), (self.right, y)], Stroke::new(Paint::Grid, 1.0));
            let words = Text::new(self.left - 8.0, y + SMALL * 0.36, label).size(SMALL);
            scene.push(words.anchor(Anchor::End).paint(Paint::Quiet));
        }
        let words = Text::new(self.left - 8.0, self.top - 15.0, title).size(SMALL).paint(Paint::Quiet);
        // The title begins where the labels do, above the axis, so that nobody has to turn the head.
        let width = ticks.iter().map(|(_, label)| Text::new(0.0, 0.0, label).size(SMALL).width());
        let x = self.left - 8.0 - width.fold(0.0, f64::max);
        scene.push(Text { x, ..words });
    }

    /// Draws the horizontal axis with its labels, and its title below them.
    pub fn draw_x(&self, scene: &mut Scene, scale: &Scale, ticks: &[(f64, String)], title: &str) {
        scene.line(&[(self.left, self.bottom), (self.right, self.bottom)], Stroke::new(Paint::Rule, 1.0));
        for (value, label) in ticks {
            let x = scale.at(*value);
            scene.line(&[(x, self.bottom), (x, self.bottom + 4.0)], Stroke::new(Paint::Rule, 1.0));
            let words = Text::new(x, self.bottom + 17.0, label).size(SMALL);
            scene.push(words.anchor(Anchor::Middle).paint(Paint::Quiet));
        }
        let words = Text::new(self.right, self.bottom + 34.0, title).size(SMALL);
        scene.push(words.anchor(Anchor::End).paint(Paint::Quiet));
    }
}

/// Returns labels for `values`, all with as many decimals as the closest of them need.
pub fn labelled(values: &[f64]) -> Vec<(f64, String)> {
    let largest = values.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    let (unit, prefix) = match largest {
        most if most >= 1e12 => (1e12, " T"),
        most if most >= 1e9 => (1e9, " G"),
        most if most >= 1e6 => (1e6, " M"),
        most if most >= 1e5 => (1e3, " k"),
        _ => (1.0, ""),
    };
    let rounded = |value: f64, decimals: i32| {
        let factor = 10f64.powi(decimals);
        ((value / unit * factor).round() / factor - value / unit).abs() < 1e-6 * (largest / unit).max(1e-12)
    };
    let decimals = (0..=6).find(|&decimals| values.iter().all(|&value| rounded(value, decimals)));
    let decimals = usize::try_from(decimals.unwrap_or(6)).unwrap_or(6);
    let label = |value: f64| {
        let text = format!("{:.decimals$}", value / unit);
        let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
        let whole = if whole.len() > 4 { group_digits(whole) } else { whole.to_owned() };
        let point = if rest.is_empty() { "" } else { "." };
        if value == 0.0 { "0".to_owned() } else { format!("{whole}{point}{rest}{prefix}") }
    };
    values.iter().map(|&value| (value, label(value))).collect()
}

/// Returns labels for shares.
pub fn percent(values: &[f64]) -> Vec<(f64, String)> {
    let hundred: Vec<f64> = values.iter().map(|value| value * 100.0).collect();
    let labels = labelled(&hundred);
    values.iter().zip(labels).map(|(&value, (_, label))| (value, format!("{label} %"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: &[f64]) -> Vec<String> {
        labelled(values).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_and_within_the_scale() {
        let scale = Scale::linear((0.0, 483.0), (0.0, 100.0));
        assert_eq!(scale.ticks(5), [0.0, 100.0, 200.0, 300.0, 400.0]);
        assert_eq!(Scale::linear((0.0, 0.19), (0.0, 1.0)).ticks(4), [0.0, 0.05, 0.1, 0.15].map(|n: f64| n));
        assert_eq!(Scale::log((1.0, 32.0), (0.0, 1.0)).ticks(6), [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]);
        assert_eq!(Scale::log((0.001, 1.0), (0.0, 1.0)).ticks(4).len(), 4);
        assert!((scale.at(241.5) - 50.0).abs() < 1e-9);
        // A single value has a scale as well.
        assert_eq!(Scale::linear((3.0, 3.0), (0.0, 10.0)).at(3.0), 0.0);
    }

    #[test]
    fn labels_have_the_decimals_that_they_need() {
        assert_eq!(labels(&[0.0, 0.05, 0.1]), ["0", "0.05", "0.10"]);
        assert_eq!(labels(&[0.0, 5000.0, 10000.0]), ["0", "5000", "10,000"]);
        assert_eq!(labels(&[0.0, 2.5e6, 5e6]), ["0", "2.5 M", "5.0 M"]);
    }
}
