//! How long the paths of a network are: the share of its paths by length, and the binomial that residual modules in a
//! row give.

use num_bigint::BigUint;

use crate::figure::axis::{Frame, Scale, labelled, percent};
use crate::figure::scene::{Anchor, Circle, Item, Rect, Scene, Stroke, Text};
use crate::figure::theme::Paint;
use crate::paths::{PathsOutput, PathsSummary};
use cnnkit_core::analysis::paths::{Distribution, share};
use cnnkit_core::number::{self, integer};

const MARGIN: f64 = 16.0;
const CHART: (f64, f64) = (320.0, 220.0);
/// Room for the labels of the vertical axis.
const LABELS: f64 = 44.0;
/// Most outputs that are drawn, one below the other.
const MOST_OUTPUTS: usize = 4;
/// Most bars; more lengths share them.
const MOST_BARS: u64 = 160;

/// Returns the figure of `summary`.
pub fn of(summary: &PathsSummary) -> Scene {
    let title = format!("Paths of {}", summary.name);
    let counts: Vec<String> = summary.outputs.iter().map(sentence).collect();
    let remark = match counts.as_slice() {
        [only] => only.clone(),
        several => format!("{} outputs", several.len()),
    };
    let mut scene = Scene::new(&title, &remark);
    let mut top = scene.heading(MARGIN, MARGIN, &title, &remark);
    for (output, count) in summary.outputs.iter().zip(&counts).take(MOST_OUTPUTS) {
        if counts.len() > 1 {
            scene.push(Text::new(MARGIN, top + 12.0, format!("to {}: {count}", output.id)));
            top += 20.0;
        }
        top = row(&mut scene, output, top);
    }
    let left_out = counts.len().saturating_sub(MOST_OUTPUTS);
    if left_out > 0 {
        scene.push(
            Text::new(MARGIN, top + 12.0, format!("{left_out} more outputs are not drawn"))
                .paint(Paint::Quiet),
        );
        top += 20.0;
    }
    scene.height = top + MARGIN;
    scene.widen(MARGIN);
    scene
}

fn sentence(output: &PathsOutput) -> String {
    let count = &output.paths.0;
    let power = count.bits().saturating_sub(1);
    let paths = if count.bits() > 2 && count.count_ones() == 1 {
        format!("{} = 2^{power} paths", integer(count))
    } else {
        format!("{} paths", integer(count))
    };
    let mean = output
        .mean_length
        .map(|mean| format!(", {} layers with weights on the average path", decimals(mean)));
    format!("{paths}{}", mean.unwrap_or_default())
}

/// Draws the charts of one output side by side; returns the y below them.
fn row(scene: &mut Scene, output: &PathsOutput, top: f64) -> f64 {
    let mut left = MARGIN + LABELS;
    let mut drawn = false;
    if let Some(modules) = output.found.modules.as_ref().filter(|_| output.residual_modules > 0) {
        let binomial = binomial(output.residual_modules, &output.paths.0, modules);
        chart(
            scene,
            (left, top),
            modules,
            &output.paths.0,
            &Words { title: "residual modules on the path", mean: None, binomial },
        );
        left += CHART.0 + LABELS + 28.0;
        drawn = true;
    }
    if let Some(lengths) = &output.found.lengths {
        let words =
            Words { title: "layers with weights on the path", mean: output.mean_length, binomial: None };
        chart(scene, (left, top), lengths, &output.paths.0, &words);
        drawn = true;
    }
    if !drawn {
        let words = "There are too many different lengths to count them.";
        scene.push(Text::new(MARGIN, top + 12.0, words).paint(Paint::Quiet));
        return top + 24.0;
    }
    top + 26.0 + CHART.1 + 44.0
}

struct Words {
    title: &'static str,
    mean: Option<f64>,
    /// The binomial distribution with this many trials: its shares, and whether the counts equal it.
    binomial: Option<(u64, Vec<f64>, bool)>,
}

/// Returns the binomial distribution (`n`, 1/2) in shares, and whether it is exactly that of the paths.
fn binomial(n: u64, total: &BigUint, found: &Distribution<u64>) -> Option<(u64, Vec<f64>, bool)> {
    if n > MOST_BARS {
        return None;
    }
    let whole = BigUint::from(1u32) << n;
    let mut count = BigUint::from(1u32);
    let (mut shares, mut same) = (Vec::new(), whole == *total);
    for k in 0..=n {
        same &= found.get(&k) == Some(&count);
        shares.push(share(&count, &whole));
        count = count * BigUint::from(n - k) / BigUint::from(k + 1);
    }
    Some((n, shares, same))
}

/// Formats a number with two decimals, or with none where they are zero.
fn decimals(value: f64) -> String {
    let text = format!("{value:.2}");
    text.strip_suffix(".00").map(str::to_owned).unwrap_or(text)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn chart(
    scene: &mut Scene,
    (left, top): (f64, f64),
    found: &Distribution<u64>,
    total: &BigUint,
    words: &Words,
) {
    let (Some(&low), Some(&high)) = (found.keys().next(), found.keys().next_back()) else { return };
    // Lengths may have a common distance: in a dense block, every layer adds two.
    let apart = found.keys().fold(0, |apart, &length| gcd(apart, length - low)).max(1);
    let step = ((high - low) / apart + 1).div_ceil(MOST_BARS).max(1) * apart;
    let bars: Vec<(u64, u64, BigUint)> = (0..=(high - low) / step)
        .map(|i| {
            let (from, to) = (low + i * step, (low + i * step + step - apart).min(high));
            (from, to, found.range(from..=to).map(|(_, count)| count).sum())
        })
        .collect();
    let shares: Vec<f64> = bars.iter().map(|(.., count)| share(count, total)).collect();
    let expected = words.binomial.iter().flat_map(|(_, shares, _)| shares.iter().copied());
    let most = shares.iter().copied().chain(expected).fold(0.0, f64::max);
    let frame = Frame { left, right: left + CHART.0, top: top + 26.0, bottom: top + 26.0 + CHART.1 };
    let y = Scale::linear((0.0, most * 1.04), (frame.bottom, frame.top));
    let half = step as f64 / 2.0;
    let x = Scale::linear((low as f64 - half, high as f64 + half), (frame.left, frame.right));
    frame.draw_y(scene, &y, &percent(&y.ticks(5)), "share of the paths");
    let slot = x.at(step as f64) - x.at(0.0);
    let wide = (slot * 0.78).max(0.8);
    for ((from, to, count), &part) in bars.iter().zip(&shares).filter(|((.., count), _)| count.bits() > 0) {
        let centre = x.at(f64::midpoint(*from as f64, *to as f64));
        // A length that has paths has a visible bar.
        let height = (frame.bottom - y.at(part)).max(0.75);
        let bar = Rect::filled([centre - wide / 2.0, frame.bottom - height, wide, height], Paint::Heat(0.5));
        let range = if from == to { from.to_string() } else { format!("{from} to {to}") };
        let name = format!("{range} {}: {} paths, {}", words.title, integer(count), number::share(part));
        scene.push(Item::Group(name, vec![bar.into()]));
    }
    let ticks: Vec<f64> = x.ticks(8).into_iter().filter(|tick| tick.fract() == 0.0).collect();
    frame.draw_x(scene, &x, &labelled(&ticks), words.title);
    if let Some(mean) = words.mean.filter(|_| high > low) {
        let at = x.at(mean);
        scene.line(&[(at, frame.top), (at, frame.bottom)], Stroke::dashed(Paint::Ink, 1.0, 4.0));
        let right = at < f64::midpoint(frame.left, frame.right);
        let label = Text::new(
            if right { at + 6.0 } else { at - 6.0 },
            frame.top + 10.0,
            format!("mean {}", decimals(mean)),
        );
        scene.push(label.size(11.0).anchor(if right { Anchor::Start } else { Anchor::End }));
    }
    if let Some((n, shares, same)) = &words.binomial {
        for (k, part) in (0..).zip(shares) {
            scene.push(Circle {
                x: x.at(f64::from(k)),
                y: y.at(*part),
                radius: (slot * 0.22).clamp(1.5, 3.5),
                fill: Some(Paint::Paper),
                stroke: Some(Stroke::new(Paint::Ink, 1.25)),
            });
        }
        // Beside the falling right side of the curve, where there is room.
        let verdict = if *same { "equals" } else { "differs from" };
        scene.push(Circle {
            x: frame.right - 88.0,
            y: frame.top + 6.0,
            radius: 3.5,
            fill: Some(Paint::Paper),
            stroke: Some(Stroke::new(Paint::Ink, 1.25)),
        });
        let label = Text::new(frame.right, frame.top + 10.0, format!("binomial ({n}, ½)"));
        scene.push(label.size(11.0).anchor(Anchor::End));
        let label = Text::new(frame.right, frame.top + 25.0, format!("{verdict} the count"));
        scene.push(label.size(11.0).anchor(Anchor::End).paint(Paint::Quiet));
    }
}
