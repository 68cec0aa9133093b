//! Windows that slide over space, resizing, and sampling at given positions.

use super::Asked;
use cnnkit_core::shape::product;

/// A window along one axis.
struct Axis {
    size: u64,
    kernel: u64,
    stride: u64,
    dilation: u64,
    before: u64,
    after: u64,
}

impl Axis {
    /// Returns the number of windows; none if none fits.
    fn windows(&self, ceil: bool) -> Option<u64> {
        let padded = self.size.checked_add(self.before)?.checked_add(self.after)?;
        let span = self.kernel.checked_sub(1)?.checked_mul(self.dilation)?.checked_add(1)?;
        let room = padded.checked_sub(span)?;
        let stride = self.stride.max(1);
        let count = if ceil { room.div_ceil(stride) } else { room / stride }.checked_add(1)?;
        // No window starts in the padding after the last element.
        let late = ceil && (count - 1).saturating_mul(stride) >= self.size.saturating_add(self.before);
        Some(if late { count - 1 } else { count })
    }

    /// Returns the output size of a transposed window.
    fn spread(&self, added: u64) -> Option<u64> {
        let span = self.kernel.checked_sub(1)?.checked_mul(self.dilation)?.checked_add(1)?;
        let full =
            self.size.checked_sub(1)?.checked_mul(self.stride)?.checked_add(span)?.checked_add(added)?;
        full.checked_sub(self.before)?.checked_sub(self.after)
    }
}

/// Returns the attribute `name` for each of `rank` axes.
fn numbers(node: Asked<'_>, name: &str, rank: usize, default: u64) -> Option<Vec<u64>> {
    crate::onnx::lower::conv::numbers(node.used, name, rank, default).ok()
}

/// Returns the axes of a window over `space`.
fn axes(node: Asked<'_>, space: &[u64], kernel: &[u64]) -> Option<Vec<Axis>> {
    let rank = space.len();
    if kernel.len() != rank {
        return None;
    }
    let (strides, dilations) = (numbers(node, "strides", rank, 1)?, numbers(node, "dilations", rank, 1)?);
    let pads = numbers(node, "pads", 2 * rank, 0)?;
    let axis = |at: usize| Axis {
        size: space[at],
        kernel: kernel[at],
        stride: strides[at],
        dilation: dilations[at],
        before: pads[at],
        after: pads[at + rank],
    };
    Some((0..rank).map(axis).collect())
}

/// Returns the sizes after a window slides over `space`.
fn slid(node: Asked<'_>, space: &[u64], kernel: &[u64]) -> Option<Vec<u64>> {
    let ceil = node.used.int("ceil_mode", 0) != 0;
    let same = node.used.text("auto_pad").is_some_and(|text| text.starts_with("SAME"));
    let windows = axes(node, space, kernel)?;
    windows
        .iter()
        .map(|axis| if same { Some(axis.size.div_ceil(axis.stride.max(1))) } else { axis.windows(ceil) })
        .collect()
}

/// Returns the kernel sizes of an attribute.
fn kernel(node: Asked<'_>, rank: usize) -> Option<Vec<u64>> {
    node.used.ints("kernel_shape")?;
    numbers(node, "kernel_shape", rank, 1)
}

pub(super) fn shape(node: Asked<'_>) -> Option<Vec<u64>> {
    let name = node.operator();
    let dims = node.dims(0).filter(|dims| !dims.is_empty())?;
    match name {
        "Conv" | "ConvInteger" | "DeformConv" | "FusedConv" | "QLinearConv"
            if node.used.int("channels_last", 0) == 0 =>
        {
            let weight = node.dims(if name == "QLinearConv" { 3 } else { 1 })?;
            let (&outputs, kernel) = (weight.first()?, weight.get(2..)?);
            Some([&[dims[0], outputs], slid(node, dims.get(2..)?, kernel)?.as_slice()].concat())
        }
        "NhwcConv" | "NhwcFusedConv" | "QLinearConv" => {
            let weight = node.dims(if name == "QLinearConv" { 3 } else { 1 })?;
            let (&outputs, kernel) = (weight.first()?, weight.get(2..)?);
            let space = dims.get(1..dims.len().checked_sub(1)?)?;
            Some([&[dims[0]], slid(node, space, kernel)?.as_slice(), &[outputs]].concat())
        }
        "ConvTranspose" => transposed(node, &dims, &node.dims(1)?),
        "MaxPool" | "AveragePool" | "LpPool" | "QLinearAveragePool" => {
            let last = node.used.int("channels_last", 0) != 0;
            let (first, end) = if last { (1, dims.len().checked_sub(1)?) } else { (2, dims.len()) };
            let space = dims.get(first..end)?;
            let slid = slid(node, space, &kernel(node, space.len())?)?;
            Some([&dims[..first], slid.as_slice(), &dims[end..]].concat())
        }
        "NhwcMaxPool" => {
            let space = dims.get(1..dims.len().checked_sub(1)?)?;
            let slid = slid(node, space, &kernel(node, space.len())?)?;
            Some([&[dims[0]], slid.as_slice(), &dims[dims.len() - 1..]].concat())
        }
        "GlobalAveragePool" | "GlobalMaxPool" | "GlobalLpPool" => {
            Some([dims.get(..2)?, vec![1; dims.len() - 2].as_slice()].concat())
        }
        "MaxRoiPool" => {
            let pooled = numbers(node, "pooled_shape", 2, 1)?;
            Some(vec![*node.dims(1)?.first()?, *dims.get(1)?, pooled[0], pooled[1]])
        }
        "RoiAlign" => {
            let side = |name: &str| node.number(name).or(Some(1));
            Some(vec![*node.dims(1)?.first()?, *dims.get(1)?, side("output_height")?, side("output_width")?])
        }
        "MaxUnpool" if node.used.has(2) => node.sizes(2),
        "MaxUnpool" => {
            let space = dims.get(2..)?;
            let axes = axes(node, space, &kernel(node, space.len())?)?;
            let spread: Option<Vec<u64>> = axes.iter().map(|axis| axis.spread(0)).collect();
            Some([&dims[..2], spread?.as_slice()].concat())
        }
        "Col2Im" => {
            let (image, block) = (node.sizes(1)?, node.sizes(2)?);
            let channels = dims.get(1)?.checked_div(product(&block)?)?;
            Some([&[dims[0], channels], image.as_slice()].concat())
        }
        "Resize" | "Upsample" => {
            let stretches = crate::onnx::lower::resize::stretches(node.lower, node.used, &dims).ok()?;
            Some(stretches.iter().map(|axis| axis.to).collect())
        }
        "GridSample" => {
            let grid = node.dims(1)?;
            Some([dims.get(..2)?, grid.get(1..grid.len().checked_sub(1)?)?].concat())
        }
        "AffineGrid" => {
            let size = node.sizes(1)?;
            let space = size.get(2..)?;
            Some([&size[..1], space, &[space.len() as u64]].concat())
        }
        _ => None,
    }
}

fn transposed(node: Asked<'_>, dims: &[u64], weight: &[u64]) -> Option<Vec<u64>> {
    let space = dims.get(2..)?;
    let groups = u64::try_from(node.used.int("group", 1)).ok()?;
    let outputs = weight.get(1)?.checked_mul(groups)?;
    let added = numbers(node, "output_padding", space.len(), 0)?;
    let axes = axes(node, space, weight.get(2..)?)?;
    let same = node.used.text("auto_pad").is_some_and(|text| text.starts_with("SAME"));
    let sizes: Option<Vec<u64>> = match node.used.ints("output_shape").filter(|wanted| !wanted.is_empty()) {
        Some(wanted) => crate::onnx::constant::sizes(&wanted[wanted.len().checked_sub(space.len())?..]).ok(),
        None if same => axes.iter().map(|axis| axis.size.checked_mul(axis.stride)).collect(),
        None => axes.iter().zip(&added).map(|(axis, &added)| axis.spread(added)).collect(),
    };
    Some([&[dims[0], outputs], sizes?.as_slice()].concat())
}
