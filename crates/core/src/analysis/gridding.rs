//! Gridding: which positions of its receptive field a stack of dilated convolutions actually reads.
//!
//! On one axis, tap e of a layer with rate r after strides of product j lies e * r * j input positions from
//! its first tap. The reach of the stack is the sum of these combs of taps, and in several axes the product
//! of the axes' reaches: every figure here comes from per-axis sets; the product is never materialised.
//!
//! **Criterion.** Sort the combs by step R. The reach has no hole if and only if every step obeys `R_j <= 1 + sum of
//! (taps_i - 1) * R_i over the smaller ones`. *Necessary*: measured from the extreme tap, smaller combs reach at most
//! that sum S, and any other tap lies at least `R_j > S + 1` away, so offset `S + 1` is a hole. *Sufficient*: by
//! induction the smaller combs fill an interval of length L = S + 1, and copies of an interval of length L shifted by
//! multiples of `R_j <= L` tile. The criterion holds for taps that differ from layer to layer and, since only the
//! steps matter, after strides. It explains a verdict; the computed reach decides it.
//!
//! **Sub-grids.** Two output positions u and v share an input on an axis if `(u - v) * J` is a difference of two
//! reached offsets (J: the jump, the product of the strides). Outputs linked by a chain of shared inputs form a
//! class; the classes are the cosets of the subgroup that those differences generate, so their number is the
//! greatest common divisor of all `d` with `d * J` in the difference set. At stride 1 that is the gcd of the rates
//! (of the layers with more than one tap). Over several axes the numbers multiply. Where no two outputs share an
//! input at all (1x1 kernels, or strides wider than the reach), every output is a class of its own and the number
//! is `None`.

use num_bigint::BigUint;
use num_integer::Integer as _;

use crate::analysis::multiplicity::{self, Multiplicity};
use crate::analysis::offsets::{Offsets, extent, join};
use crate::analysis::taps::Taps;
use crate::diagnostic::{Code, Problem};

/// Maximum number of layers: more are a mistake, not a network.
pub const MOST_LAYERS: usize = 100_000;

/// One dilated convolution; each list has one entry per axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Taps, at least 1.
    pub kernel: Vec<u64>,
    /// Dilation rate: input positions between neighbouring taps, at least 1.
    pub rate: Vec<u64>,
    /// Stride, at least 1.
    pub stride: Vec<u64>,
}

impl Layer {
    /// Returns a layer with the same kernel and rate on each of `axes` axes, stride 1.
    pub fn square(kernel: u64, rate: u64, axes: usize) -> Self {
        Self { kernel: vec![kernel; axes], rate: vec![rate; axes], stride: vec![1; axes] }
    }
}

/// Dilated convolutions, from the input to the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    axes: usize,
    layers: Vec<Layer>,
}

/// The facts of one axis.
#[derive(Debug, Clone)]
pub struct Axis {
    /// One comb of taps per layer, in input positions.
    pub combs: Vec<Taps>,
    /// The reach: the set of offsets that are read.
    pub offsets: Offsets,
    /// Input positions between neighbouring outputs: the product of the strides.
    pub jump: u64,
    /// Classes of outputs that share no input; `None` if no two outputs share any.
    pub sub_grids: Option<u64>,
}

/// The facts of a stack.
#[derive(Debug, Clone)]
pub struct Gridding {
    /// One entry per axis.
    pub axes: Vec<Axis>,
}

/// The criterion for one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// The step: the rate times the strides before it.
    pub step: u64,
    /// The largest step that would leave no hole here.
    pub largest: u64,
}

impl Bound {
    /// Returns whether the step satisfies the criterion.
    pub fn holds(self) -> bool {
        self.step <= self.largest
    }
}

impl Stack {
    /// Returns a stack of `layers` over `axes` axes; every list must have one entry per axis, every entry be at least
    /// 1.
    pub fn new(axes: usize, layers: Vec<Layer>) -> Result<Self, Problem> {
        if layers.is_empty() {
            return Err(Problem::new(Code::Missing, "a stack needs at least one layer"));
        }
        if layers.len() > MOST_LAYERS {
            let message = format!("not supported: {} layers, more than {MOST_LAYERS}", layers.len());
            return Err(Problem::new(Code::Limit, message).help("join equal rates into one larger kernel"));
        }
        for (i, layer) in layers.iter().enumerate() {
            for (name, list) in [("kernel", &layer.kernel), ("rate", &layer.rate), ("stride", &layer.stride)]
            {
                if list.len() != axes || list.contains(&0) {
                    let message = format!("the {name} of layer {} is {list:?}", i + 1);
                    return Err(Problem::argument(name, message)
                        .help(format!("give {axes} whole numbers of at least 1")));
                }
            }
        }
        Ok(Self { axes, layers })
    }

    /// Returns the stack with one kernel size on all axes, stride 1; errors as for [`new`](Self::new).
    pub fn uniform(kernel: u64, rates: &[u64], axes: usize) -> Result<Self, Problem> {
        Self::new(axes, rates.iter().map(|&rate| Layer::square(kernel, rate, axes)).collect())
    }

    /// Returns the number of spatial axes.
    pub fn axes(&self) -> usize {
        self.axes
    }

    /// Returns the layers, from the input to the output.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Returns the stack of the first `count` layers.
    #[must_use]
    pub fn first(&self, count: usize) -> Self {
        Self { axes: self.axes, layers: self.layers.iter().take(count.max(1)).cloned().collect() }
    }

    /// Returns the combs of taps of one axis, and the jump after them.
    fn combs(&self, axis: usize) -> Result<(Vec<Taps>, u64), Problem> {
        let wide = || {
            Problem::new(Code::Overflow, "not supported: strides and rates whose product exceeds 64 bits")
                .help("use smaller strides or rates")
        };
        let mut jump = 1u64;
        let mut combs = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let taps = layer.kernel[axis];
            // A single tap has no reach: its rate does not matter, even if the step would overflow.
            let step = if taps > 1 { layer.rate[axis].checked_mul(jump).ok_or_else(wide)? } else { 1 };
            combs.push(Taps { step, taps });
            jump = jump.checked_mul(layer.stride[axis]).ok_or_else(wide)?;
        }
        Ok((combs, jump))
    }
}

impl Gridding {
    /// Computes the facts of `stack`, exact at any width; an error beyond 2^62 positions or beyond the memory
    /// limit.
    pub fn of(stack: &Stack) -> Result<Self, Problem> {
        let mut axes: Vec<Axis> = Vec::with_capacity(stack.axes);
        for axis in 0..stack.axes {
            let (combs, jump) = stack.combs(axis)?;
            if let Some(same) = axes.iter().find(|other| other.combs == combs && other.jump == jump) {
                axes.push(same.clone());
                continue;
            }
            let offsets = Offsets::of(&combs)?;
            let sub_grids = sub_grids(&combs, jump)?;
            axes.push(Axis { combs, offsets, jump, sub_grids });
        }
        Ok(Self { axes })
    }

    /// Returns the bounding box, in input positions per axis.
    pub fn size(&self) -> Vec<u64> {
        self.axes.iter().map(|axis| axis.offsets.size()).collect()
    }

    /// Returns how many positions of the box are read.
    pub fn covered(&self) -> BigUint {
        self.axes.iter().map(|axis| BigUint::from(axis.offsets.covered())).product()
    }

    /// Returns how many positions the box has.
    pub fn total(&self) -> BigUint {
        self.axes.iter().map(|axis| BigUint::from(axis.offsets.size())).product()
    }

    /// Returns the fraction of the box that is read, 0 to 1.
    pub fn coverage(&self) -> f64 {
        self.axes.iter().map(|axis| axis.offsets.covered() as f64 / axis.offsets.size() as f64).product()
    }

    /// Returns the largest distance between neighbouring positions that are read, on any axis; 1 if there is no hole.
    pub fn max_gap(&self) -> u64 {
        self.axes.iter().map(|axis| axis.offsets.max_gap()).max().unwrap_or(1)
    }

    /// Returns whether every position of the box is read.
    pub fn hole_free(&self) -> bool {
        self.axes.iter().all(|axis| axis.offsets.hole_free())
    }

    /// Returns the classes of outputs that share no input; `None` if no two outputs share any on some axis.
    pub fn sub_grids(&self) -> Option<BigUint> {
        self.axes.iter().map(|axis| axis.sub_grids.map(BigUint::from)).product()
    }

    /// Returns the number of paths from the box to one output: the sum of all multiplicities, the product of the
    /// kernels.
    pub fn paths(&self) -> BigUint {
        let taps = self.axes.iter().flat_map(|axis| axis.combs.iter().map(|comb| comb.taps));
        taps.filter(|&taps| taps > 1).map(BigUint::from).product()
    }

    /// Estimates how many 64-bit additions [`multiplicities`](Self::multiplicities) needs.
    pub fn multiplicity_cost(&self) -> u64 {
        self.axes.iter().map(|axis| multiplicity::cost(&axis.combs)).fold(0, u64::saturating_add)
    }

    /// Computes the multiplicities, one line per axis; their product is the map. An error if a line is too
    /// long.
    pub fn multiplicities(&self) -> Result<Vec<Multiplicity>, Problem> {
        let mut lines: Vec<Multiplicity> = Vec::with_capacity(self.axes.len());
        for (i, axis) in self.axes.iter().enumerate() {
            let line = match self.axes[..i].iter().position(|other| other.combs == axis.combs) {
                Some(same) => lines[same].clone(),
                None => Multiplicity::of(&axis.combs)?,
            };
            lines.push(line);
        }
        Ok(lines)
    }
}

/// Computes the criterion, step by step, ascending; the reach has no hole if and only if all bounds hold.
pub fn criterion(combs: &[Taps]) -> Result<Vec<Bound>, Problem> {
    extent(combs)?;
    let mut sorted: Vec<Taps> = combs.iter().copied().filter(|comb| comb.taps > 1).collect();
    sorted.sort_unstable();
    let mut largest = 1;
    let bounds = sorted.iter().map(|comb| {
        let bound = Bound { step: comb.step, largest };
        largest += (comb.taps - 1) * comb.step;
        bound
    });
    Ok(bounds.collect())
}

/// Computes the number of classes; the proof is in the module's documentation.
fn sub_grids(combs: &[Taps], jump: u64) -> Result<Option<u64>, Problem> {
    let divisor = if jump == 1 {
        join(combs).iter().fold(0, |divisor: u64, comb| divisor.gcd(&comb.step))
    } else {
        // The differences of two offsets: the same stack with 2 * taps - 1 taps, around its middle.
        let mirrored: Vec<Taps> = combs
            .iter()
            .map(|comb| Taps { step: comb.step, taps: comb.taps.saturating_mul(2).saturating_sub(1) })
            .collect();
        Offsets::of(&mirrored)?.divisor_of_multiples(extent(combs)? - 1, jump)
    };
    Ok((divisor > 0).then_some(divisor))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kernel: u64, rates: &[u64]) -> Gridding {
        Gridding::of(&Stack::uniform(kernel, rates, 2).expect("valid")).expect("small")
    }

    #[test]
    fn the_seed_picture() {
        let facts = of(3, &[2, 2, 2]);
        assert_eq!(facts.size(), [13, 13]);
        assert_eq!((facts.covered(), facts.total()), (49u32.into(), 169u32.into()));
        assert_eq!((facts.max_gap(), facts.hole_free()), (2, false));
        assert_eq!(facts.sub_grids(), Some(4u32.into()));
        assert_eq!(facts.paths(), 729u32.into());
    }

    #[test]
    fn the_criterion_names_the_rate_and_what_would_fit() {
        let facts = of(3, &[1, 2, 9]);
        let bounds = criterion(&facts.axes[0].combs).expect("small");
        assert_eq!(bounds.iter().find(|bound| !bound.holds()), Some(&Bound { step: 9, largest: 7 }));
    }

    #[test]
    fn a_stack_of_single_taps_shares_nothing() {
        let facts = of(1, &[4, 4]);
        assert_eq!((facts.size(), facts.sub_grids()), (vec![1, 1], None));
    }

    #[test]
    fn strides_wider_than_the_reach_share_nothing() {
        let layer = |stride| Layer { kernel: vec![3], rate: vec![1], stride: vec![stride] };
        let grids = |stride| {
            let stack = Stack::new(1, vec![layer(stride)]).expect("valid");
            Gridding::of(&stack).expect("small").sub_grids()
        };
        assert_eq!(grids(2), Some(1u32.into()));
        assert_eq!(grids(3), None);
    }

    #[test]
    fn the_widest_stack_without_holes_costs_nothing() {
        let rates: Vec<u64> = (0..37).map(|i| 3u64.pow(i)).collect();
        let facts = of(3, &rates);
        assert!(facts.hole_free());
        assert_eq!(facts.size()[0], 3u64.pow(37));
        assert_eq!(facts.total(), BigUint::from(3u8).pow(74));
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        assert!(Stack::uniform(3, &[], 2).is_err());
        assert!(Stack::uniform(3, &[0], 2).is_err());
        assert!(Stack::new(2, vec![Layer::square(3, 1, 1)]).is_err());
        assert!(Gridding::of(&Stack::uniform(3, &[u64::MAX], 1).expect("valid")).is_err());
    }
}
