//! What the elements of a resized axis are made of, by the operator's definition: for every rule that says where an element
//! lies, and every way to mix its neighbours. Constants are computed with it (tables of positions that a model stretches to
//! the size of its input); a tensor becomes choices of elements, fixed factors and a sum.

use super::context::{Flaw, Lower, Tensor, Use, Value};
use crate::onnx::constant::{Constant, KNOWN};
use cnnkit_core::layers::Layer;
use cnnkit_core::layers::add::Add;
use cnnkit_core::layers::upsample::{KEYS, cubic};

/// An element of the input with its weight.
type Tap = (usize, f64);

/// How version 10 finds the nearest element: the one before where the axis grows, the one behind where it shrinks. The
/// standard does not say so, but its example does (`resize_downsample_nearest` of ONNX 1.5), and ONNX Runtime computes it.
const OUTWARD: &str = "outward";

/// How close to the middle between two elements ONNX Runtime 1.32 takes a place for the middle, found by trying factors.
const TIE: f64 = 1e-6;

/// Most neighbours that are mixed along one axis; each is a choice, a product and an addend of its own.
const MOST_TAPS: usize = 16;

/// An axis that is resized.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    /// Its size before.
    pub from: u64,
    /// Its size after.
    pub to: u64,
    /// The factor by which places are mapped; the ratio of the sizes but for rounding.
    pub factor: f64,
    /// Whether the file states the size, rather than the factor.
    pub by_size: bool,
    /// The part of the axis that is resized, from 0 to 1.
    pub part: Option<(f64, f64)>,
}

impl Stretch {
    /// Whether every element stays where it is.
    pub fn keeps(&self) -> bool {
        self.from == self.to && self.factor == 1.0 && self.part.is_none()
    }

    /// Whether the factor stretches the axis to a whole number of elements, but for rounding.
    pub fn fits(&self) -> bool {
        (self.factor * self.from as f64 - self.to as f64).abs() < 1e-6 * self.to as f64
    }

    /// Where element `at` lies among those of the input; none by a rule that is not known, or beyond the border of a part
    /// that reaches over it.
    fn place(&self, rule: &str, at: usize) -> Option<f64> {
        let (at, from, to) = (at as f64, self.from as f64, self.to as f64);
        Some(match rule {
            "asymmetric" => at / self.factor,
            "half_pixel" => (at + 0.5) / self.factor - 0.5,
            "pytorch_half_pixel" if self.to > 1 => (at + 0.5) / self.factor - 0.5,
            "pytorch_half_pixel" => 0.0,
            // Definitions differ where the factor leaves a rest.
            "align_corners" if !self.fits() => return None,
            "align_corners" if self.to > 1 => at * (from - 1.0) / (to - 1.0),
            "align_corners" => 0.0,
            "half_pixel_symmetric" => {
                let adjustment = to / (self.factor * from);
                from / 2.0 * (1.0 - adjustment) + (at + 0.5) / self.factor - 0.5
            }
            "tf_crop_and_resize" => {
                let (start, end) = self.part?;
                let place = if self.to > 1 {
                    start * (from - 1.0) + at * (end - start) * (from - 1.0) / (to - 1.0)
                } else {
                    0.5 * (start + end) * (from - 1.0)
                };
                return (0.0..=from - 1.0).contains(&place).then_some(place);
            }
            _ => return None,
        })
    }
}

impl Stretch {
    /// [`Self::place`] for the nearest element: where two are equally near, or an element is met exactly, the last digit
    /// decides, so that it is rounded to f32 where ONNX Runtime rounds. Where the file states a size and the rule is the
    /// plain ratio, the place is exact, as the standard and PyTorch define it.
    fn rounded_place(&self, rule: &str, at: usize) -> Option<f64> {
        let (factor, from, to) = (self.factor as f32, self.from as f32, self.to as f32);
        let half_pixel = || f64::from((at as f32 + 0.5) / factor - 0.5);
        match rule {
            "asymmetric" if self.by_size && self.fits() => {
                Some(at as f64 * self.from as f64 / self.to as f64)
            }
            "asymmetric" => Some(f64::from(at as f32 / factor)),
            "align_corners" if self.fits() && self.to > 1 => {
                Some(f64::from(at as f32 * (from - 1.0) / (to - 1.0)))
            }
            "half_pixel" => Some(half_pixel()),
            "pytorch_half_pixel" if self.to > 1 => Some(half_pixel()),
            "half_pixel_symmetric" => {
                let offset = from / 2.0 * (1.0 - to / (factor * from));
                let place = f64::from(offset) + (at as f64 + 0.5) / f64::from(factor) - 0.5;
                Some(f64::from(place as f32))
            }
            _ => self.place(rule, at),
        }
    }
}

/// Rule, mixing and settings of a node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    /// Where elements lie.
    pub rule: &'a str,
    /// How neighbours are mixed.
    pub mode: &'a str,
    /// Which element is the nearest.
    pub rounding: &'a str,
    /// The coefficient of cubic interpolation.
    pub coefficient: f64,
    /// Whether the window grows where the axis shrinks.
    pub antialias: bool,
    /// Whether neighbours beyond the border have no share, rather than that on it.
    pub inside_only: bool,
}

impl<'a> Rules<'a> {
    /// Those of a node. Before version 11 there was one rule; it is what is now called asymmetric.
    pub fn of(used: Use<'a>) -> Self {
        let old = used.opset < 11 || used.node.op_type == "Upsample";
        let new = |name: &str, default: &'static str| {
            if old { None } else { Some(used.text(name).unwrap_or(default)) }
        };
        let mode = used.text("mode").unwrap_or("nearest");
        Self {
            rule: new("coordinate_transformation_mode", "half_pixel").unwrap_or("asymmetric"),
            mode: if mode == "bilinear" { "linear" } else { mode },
            rounding: new("nearest_mode", "round_prefer_floor").unwrap_or(OUTWARD),
            coefficient: used.float("cubic_coeff_a", KEYS),
            antialias: used.int("antialias", 0) != 0,
            inside_only: used.int("exclude_outside", 0) != 0,
        }
    }

    /// The nearest element for each element; none for a rule that is not known, or for too many. What is closer than
    /// [`TIE`] to the middle between two lies there for ONNX Runtime.
    pub fn nearest(&self, axis: Stretch) -> Option<Vec<u64>> {
        if axis.to > KNOWN || axis.from == 0 {
            return None;
        }
        let nearest = |at: usize| {
            let place = axis.rounded_place(self.rule, at)?;
            let tie = (place - place.floor() - 0.5).abs() < TIE;
            let whole = match self.rounding {
                "floor" => place.floor(),
                "ceil" => place.ceil(),
                OUTWARD if axis.factor < 1.0 => place.ceil(),
                OUTWARD => place.floor(),
                "round_prefer_floor" if tie => place.floor(),
                "round_prefer_ceil" if tie => place.ceil(),
                "round_prefer_floor" | "round_prefer_ceil" => place.round(),
                _ => return None,
            };
            Some(whole.min(axis.from as f64 - 1.0).max(0.0) as u64)
        };
        (0..axis.to as usize).map(nearest).collect()
    }

    /// What each element of the axis is made of; none by a rule that is not known.
    pub(super) fn taps(&self, axis: Stretch) -> Option<Vec<Vec<Tap>>> {
        if self.mode == "nearest" {
            return Some(self.nearest(axis)?.into_iter().map(|place| vec![(place as usize, 1.0)]).collect());
        }
        // Kernels and how far they reach to each side.
        let (reach, kernel): (f64, &dyn Fn(f64) -> f64) = match self.mode {
            "linear" => (1.0, &|distance: f64| (1.0 - distance.abs()).max(0.0)),
            "cubic" => (2.0, &|distance: f64| cubic(distance, self.coefficient)),
            _ => return None,
        };
        let scale = if self.antialias { axis.factor.min(1.0) } else { 1.0 };
        if axis.to > KNOWN || axis.from == 0 || reach / scale >= MOST_TAPS as f64 {
            return None;
        }
        let last = axis.from as f64 - 1.0;
        let mixed = |at: usize| {
            let place = axis.place(self.rule, at)?;
            let far = (reach / scale).ceil();
            let mut taps: Vec<Tap> = Vec::new();
            let mut index = place.floor() - far;
            while index <= place.floor() + far + 1.0 {
                let share = kernel((index - place) * scale);
                let outside = self.inside_only && !(0.0..=last).contains(&index);
                if share != 0.0 && !outside {
                    let inside = index.max(0.0).min(last) as usize;
                    match taps.last_mut().filter(|tap| tap.0 == inside) {
                        Some(tap) => tap.1 += share,
                        None => taps.push((inside, share)),
                    }
                }
                index += 1.0;
            }
            if self.inside_only || scale < 1.0 {
                let total: f64 = taps.iter().map(|tap| tap.1).sum();
                taps.iter_mut().for_each(|tap| tap.1 /= total);
            }
            (!taps.is_empty()).then_some(taps)
        };
        (0..axis.to as usize).map(mixed).collect()
    }
}

/// A tensor resized along each axis: its neighbours are chosen, multiplied by their shares, and added.
pub(super) fn by_taps(
    lower: &mut Lower,
    used: Use<'_>,
    rules: Rules<'_>,
    input: Tensor,
    stretches: &[Stretch],
) -> Result<Tensor, Flaw> {
    let mut tensor = input;
    for (axis, stretch) in stretches.iter().enumerate().filter(|(_, stretch)| !stretch.keeps()) {
        let Some(taps) = rules.taps(*stretch) else {
            return used.unsupported(format!("{} resizing by {}", rules.mode, rules.rule));
        };
        let most = taps.iter().map(Vec::len).max().unwrap_or(1);
        let mut parts = Vec::with_capacity(most);
        for number in 0..most {
            // Where there are fewer, the first one again without a share.
            let tap = |taps: &Vec<Tap>| taps.get(number).copied().unwrap_or((taps[0].0, 0.0));
            let places = taps.iter().map(|taps| tap(taps).0 as u64).collect();
            let shares: Vec<f64> = taps.iter().map(|taps| tap(taps).1).collect();
            let part = single(used, super::choice::chosen(lower, used, &tensor, axis, places)?)?;
            if shares.iter().all(|&share| share == 1.0) {
                parts.push(part);
                continue;
            }
            let sizes = [&[stretch.to], vec![1; part.dims.len() - axis - 1].as_slice()].concat();
            let factors = Constant::floats(sizes, shares);
            for scaled in super::arithmetic::multiply_constant(lower, used, &part, &factors)? {
                parts.push(single(used, scaled)?);
            }
        }
        let (batch, dims) = (parts[0].batch, parts[0].dims.clone());
        tensor = match parts.as_slice() {
            [only] => only.clone(),
            several => {
                let several: Vec<&Tensor> = several.iter().collect();
                let made = lower.emit(used, Layer::Add(Add { weights: None }), &several, vec![], batch)?;
                Tensor { dims, ..made }
            }
        };
    }
    Ok(tensor)
}

fn single(used: Use<'_>, value: Value) -> Result<Tensor, Flaw> {
    match value {
        Value::Tensor(tensor) => Ok(tensor),
        Value::Constant(_) | Value::Unknown(_) => used.unsupported("resizing of a constant"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rule, rounding, elements before, factor, and what ONNX Runtime 1.32 chooses.
    const CHOSEN: &[(&str, &str, u64, f64, &[u64])] = &[
        ("half_pixel", "floor", 20, 0.6, &[0, 2, 3, 5, 6, 8, 10, 11, 13, 15, 17, 18]),
        ("half_pixel", "ceil", 20, 0.6, &[1, 2, 4, 6, 7, 9, 11, 12, 14, 16, 17, 19]),
        ("half_pixel_symmetric", "floor", 20, 0.6, &[0, 1, 3, 5, 6, 8, 10, 11, 13, 15, 17, 18]),
        ("half_pixel_symmetric", "ceil", 20, 0.6, &[1, 2, 4, 6, 7, 9, 11, 12, 14, 16, 17, 19]),
        (
            "half_pixel_symmetric",
            "floor",
            13,
            1.5,
            &[0, 0, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 8, 8, 9, 10, 10, 11, 12],
        ),
        // Closer to the middle than 1e-6, by f32 or by the factor.
        ("half_pixel_symmetric", "round_prefer_floor", 7, 0.6, &[0, 2, 4, 5]),
        ("half_pixel_symmetric", "round_prefer_floor", 13, 1.0 / 3.0, &[1, 4, 7, 10]),
        ("half_pixel_symmetric", "round_prefer_floor", 14, 0.7, &[1, 2, 4, 5, 6, 8, 9, 11, 12]),
        ("asymmetric", "floor", 20, 0.6, &[0, 1, 3, 5, 6, 8, 10, 11, 13, 14, 16, 18]),
        ("asymmetric", "floor", 14, 1.0 / 3.0, &[0, 3, 6, 9]),
        ("asymmetric", OUTWARD, 13, 0.7, &[0, 2, 3, 5, 6, 8, 9, 10, 12]),
        ("asymmetric", OUTWARD, 4, 0.6, &[0, 2]),
        ("asymmetric", OUTWARD, 3, 1.5, &[0, 0, 1, 2]),
    ];

    #[test]
    fn of_two_that_are_equally_near_the_last_digit_in_f32_decides() {
        for &(rule, rounding, from, factor, wanted) in CHOSEN {
            let rules = Rules {
                rule,
                mode: "nearest",
                rounding,
                coefficient: KEYS,
                antialias: false,
                inside_only: false,
            };
            let factor = f64::from(factor as f32);
            let axis = Stretch { from, to: wanted.len() as u64, factor, by_size: false, part: None };
            assert_eq!(
                rules.nearest(axis).expect("a known rule"),
                wanted,
                "{rule} {rounding} {from} {factor}"
            );
        }
    }
}
