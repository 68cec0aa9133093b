//! Argument types that layers share: one value or one per axis, paddings, groups.

use std::fmt;

use num_integer::Integer as _;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::diagnostic::{Code, Problem};
use crate::layers::axes::{one_or_many, spread};
use crate::layers::window::{Window, same_padding};
use crate::shape::Shape;

/// One value for all spatial axes, or one value per axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerAxis(Vec<u64>);

impl PerAxis {
    /// Returns the same value for every axis.
    pub fn all(value: u64) -> Self {
        Self(vec![value])
    }

    /// Returns one value for each spatial axis.
    pub fn list(values: impl IntoIterator<Item = u64>) -> Self {
        Self(values.into_iter().collect())
    }

    /// Returns whether it is `value` on every axis.
    pub fn is(&self, value: u64) -> bool {
        self.0.iter().all(|&v| v == value)
    }

    /// Returns one value for each of `rank` axes, all at least `least`; an error names `argument`.
    pub fn resolve(&self, rank: usize, argument: &'static str, least: u64) -> Result<Vec<u64>, Problem> {
        if let Some(small) = self.0.iter().find(|&&value| value < least) {
            return Err(Problem::argument(
                argument,
                format!("`{argument}` is {small}, it must be at least {least}"),
            )
            .help(format!("use {least} or more")));
        }
        if let Some(large) = self.0.iter().find(|&&value| value > i64::MAX as u64) {
            return Err(Problem::argument(argument, format!("`{argument}` is {large}, which no tensor has"))
                .help("check the sizes: no real network is this large"));
        }
        spread(&self.0, rank, argument)
    }

    /// Returns `3x3`, `1x7`, or `3` where the number of axes is not known.
    pub fn describe(&self) -> String {
        match self.0.as_slice() {
            [value] => value.to_string(),
            values => values.iter().map(u64::to_string).collect::<Vec<_>>().join("x"),
        }
    }
}

impl Serialize for PerAxis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [value] => serializer.serialize_u64(*value),
            values => values.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for PerAxis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        one_or_many(deserializer).map(Self)
    }
}

impl JsonSchema for PerAxis {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PerAxis".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "one value for all spatial axes, or a list with one per axis",
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": 3}
            ]
        })
    }
}

/// Padding of a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Padding {
    /// As many elements as leave `ceil(size / stride)` outputs; an odd element goes after the last
    /// (TensorFlow's and ONNX's SAME_UPPER; PyTorch's `same` equals it, but exists at stride 1 only).
    Same,
    /// As `same`, with an odd element before the first (ONNX's SAME_LOWER).
    SameLower,
    /// Only before the first element: the output at a time reads nothing later (1-D; WaveNet, TCN).
    Causal,
    /// The same on both sides of each axis; `valid` is 0.
    Symmetric(PerAxis),
    /// Before and after, for each axis.
    Sides(Vec<(u64, u64)>),
}

impl Padding {
    /// Returns no padding.
    pub fn zero() -> Self {
        Self::Symmetric(PerAxis::all(0))
    }

    /// Returns whether it adds nothing.
    pub fn is_zero(&self) -> bool {
        match self {
            Self::Symmetric(values) => values.is(0),
            Self::Sides(sides) => sides.iter().all(|&side| side == (0, 0)),
            _ => false,
        }
    }

    /// Returns ` p1`, ` same`, or nothing for no padding.
    pub fn describe(&self) -> String {
        match self {
            Self::Same => " same".into(),
            Self::SameLower => " same_lower".into(),
            Self::Causal => " causal".into(),
            Self::Symmetric(values) if values.is(0) => String::new(),
            Self::Symmetric(values) => format!(" p{}", values.describe()),
            Self::Sides(sides) => {
                let sides =
                    sides.iter().map(|(before, after)| format!("{before}+{after}")).collect::<Vec<_>>();
                format!(" p{}", sides.join("x"))
            }
        }
    }

    /// Returns the elements added before and after each axis, given the input sizes and the windows without
    /// padding.
    pub fn resolve(&self, sizes: &[u64], windows: &[Window]) -> Result<Vec<(u64, u64)>, Problem> {
        let rank = sizes.len();
        match self {
            Self::Symmetric(values) => {
                Ok(values.resolve(rank, "padding", 0)?.into_iter().map(|value| (value, value)).collect())
            }
            Self::Sides(sides) if sides.len() == rank => Ok(sides.clone()),
            Self::Sides(sides) => Err(Problem::argument(
                "padding",
                format!("`padding` has {} pairs, but the input has {rank} spatial axes", sides.len()),
            )
            .help("give a pair [before, after] for each axis: [[0, 1], [0, 1]]")),
            Self::Same | Self::SameLower => sizes
                .iter()
                .zip(windows)
                .map(|(&size, w)| Ok(same_padding(size, w.extent()?, w.stride, *self == Self::SameLower)))
                .collect(),
            Self::Causal if rank == 1 => windows.iter().map(|window| Ok((window.extent()? - 1, 0))).collect(),
            Self::Causal => Err(Problem::argument(
                "padding",
                format!("causal padding is for one axis of time, the input has {rank} spatial axes"),
            )
            .help("give a pair [before, after] for each axis: [[2, 0], [1, 1]]")),
        }
    }
}

impl Serialize for Padding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Same => serializer.serialize_str("same"),
            Self::SameLower => serializer.serialize_str("same_lower"),
            Self::Causal => serializer.serialize_str("causal"),
            Self::Symmetric(values) => values.serialize(serializer),
            Self::Sides(sides) => sides.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Padding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyForm;

        impl<'de> Visitor<'de> for AnyForm {
            type Value = Padding;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "`same`, `valid`, a whole number, one per axis, or a pair [before, after] for each axis",
                )
            }

            fn visit_u64<E>(self, value: u64) -> Result<Padding, E> {
                Ok(Padding::Symmetric(PerAxis(vec![value])))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Padding, E> {
                match text {
                    "same" | "same_upper" => Ok(Padding::Same),
                    "same_lower" => Ok(Padding::SameLower),
                    "valid" => Ok(Padding::zero()),
                    "causal" => Ok(Padding::Causal),
                    _ => Err(E::unknown_variant(text, &["same", "same_lower", "valid", "causal"])),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Padding, A::Error> {
                #[derive(Deserialize)]
                #[serde(untagged)]
                enum Item {
                    One(u64),
                    Pair([u64; 2]),
                }
                let (mut ones, mut pairs) = (Vec::new(), Vec::new());
                while let Some(item) = items.next_element::<Item>()? {
                    match item {
                        Item::One(value) => ones.push(value),
                        Item::Pair([before, after]) => pairs.push((before, after)),
                    }
                }
                match (ones.len(), pairs.len()) {
                    (1..=3, 0) => Ok(Padding::Symmetric(PerAxis(ones))),
                    (0, 1..=3) => Ok(Padding::Sides(pairs)),
                    _ => Err(serde::de::Error::custom(
                        "expected one value per axis, or one pair [before, after] per axis; for example [1, 0] or [[1, 0], [0, 0]]",
                    )),
                }
            }
        }

        deserializer.deserialize_any(AnyForm)
    }
}

impl JsonSchema for Padding {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Padding".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "same, valid, causal (1-D), one value for all axes, one per axis, or a pair [before, after] for each axis",
            "anyOf": [
                {"enum": ["same", "same_lower", "valid", "causal"]},
                {"type": "integer", "minimum": 0},
                {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": 3},
                {"type": "array", "minItems": 1, "maxItems": 3, "items":
                    {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 2, "maxItems": 2}}
            ]
        })
    }
}

/// Groups of a convolution: a number, or as many as there are input channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Groups {
    /// This number of groups.
    Number(u64),
    /// One group per input channel.
    Depthwise,
}

impl Groups {
    /// Returns the number of groups, which must divide the numbers of input and output channels.
    pub fn resolve(self, inputs: u64, outputs: u64) -> Result<u64, Problem> {
        let groups = match self {
            Self::Number(groups) => groups,
            Self::Depthwise => inputs,
        };
        if groups == 0 {
            return Err(Problem::argument("groups", "`groups` is 0, it must be at least 1")
                .help("1 is an ordinary convolution"));
        }
        for (what, channels) in [("input", inputs), ("output", outputs)] {
            if !channels.is_multiple_of(groups) {
                let below = common_divisor_below(inputs, outputs, groups);
                return Err(Problem::argument(
                    "groups",
                    format!("{channels} {what} channels cannot be divided into {groups} groups"),
                )
                .help(format!("the next smaller number of groups that divides both is {below}")));
            }
        }
        Ok(groups)
    }

    /// Returns ` g32`, ` depthwise`, or nothing for one group.
    pub fn describe(self) -> String {
        match self {
            Self::Number(1) => String::new(),
            Self::Number(groups) => format!(" g{groups}"),
            Self::Depthwise => " depthwise".into(),
        }
    }
}

/// Returns the largest common divisor of `a` and `b` that is at most `limit`. A tensor has at most 2^48
/// elements, but an argument may be any number: the search ends at 2^20.
fn common_divisor_below(a: u64, b: u64, limit: u64) -> u64 {
    let gcd = a.gcd(&b);
    let pairs = (1..=gcd.isqrt().min(1 << 20)).filter(|&small| gcd.is_multiple_of(small));
    pairs.flat_map(|small| [small, gcd / small]).filter(|&divisor| divisor <= limit).max().unwrap_or(1)
}

impl Serialize for Groups {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(groups) => serializer.serialize_u64(*groups),
            Self::Depthwise => serializer.serialize_str("depthwise"),
        }
    }
}

impl<'de> Deserialize<'de> for Groups {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrWord;

        impl Visitor<'_> for NumberOrWord {
            type Value = Groups;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number or `depthwise`")
            }

            fn visit_u64<E>(self, value: u64) -> Result<Groups, E> {
                Ok(Groups::Number(value))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Groups, E> {
                match text {
                    "depthwise" => Ok(Groups::Depthwise),
                    _ => Err(E::unknown_variant(text, &["depthwise"])),
                }
            }
        }

        deserializer.deserialize_any(NumberOrWord)
    }
}

impl JsonSchema for Groups {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Groups".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "number of groups, or depthwise: one per input channel",
            "anyOf": [{"type": "integer", "minimum": 1}, {"enum": ["depthwise"]}]
        })
    }
}

/// Returns the spatial sizes of `input`, for layers that slide over space; an error unless it has channels
/// and one to three spatial axes.
pub fn spatial<'a>(name: &str, input: &'a Shape) -> Result<&'a [u64], Problem> {
    match input.rank() {
        2..=4 => Ok(input.spatial()),
        rank => Err(Problem::shape(format!(
            "`{name}` needs channels and 1 to 3 spatial axes, the input {input} has {rank} {}",
            if rank == 1 { "axis" } else { "axes" }
        ))
        .help(match rank {
            1 => "a `flatten` before it is too early; a global pool keeps its axes with `keepdim: true`",
            _ => "shapes are [C, L], [C, H, W] or [C, D, H, W]",
        })),
    }
}

/// Returns the windows of a layer with these arguments on an input with the spatial `sizes`, one per axis.
pub fn windows(
    sizes: &[u64],
    kernel: &PerAxis,
    stride: &PerAxis,
    dilation: &PerAxis,
    padding: &Padding,
) -> Result<Vec<Window>, Problem> {
    let kernel = kernel.resolve(sizes.len(), "kernel", 1)?;
    let stride = stride.resolve(sizes.len(), "stride", 1)?;
    let dilation = dilation.resolve(sizes.len(), "dilation", 1)?;
    let mut windows: Vec<Window> = (0..sizes.len())
        .map(|axis| Window {
            kernel: kernel[axis],
            stride: stride[axis],
            dilation: dilation[axis],
            before: 0,
            after: 0,
        })
        .collect();
    let sides = padding.resolve(sizes, &windows)?;
    for (window, (before, after)) in windows.iter_mut().zip(sides) {
        let signed = |value: u64| {
            i64::try_from(value)
                .ok()
                .filter(|v| *v < i64::MAX / 4)
                .ok_or_else(|| Problem::overflow("the padding").at("padding"))
        };
        (window.before, window.after) = (signed(before)?, signed(after)?);
    }
    Ok(windows)
}

/// Checks an optional `in_channels` (or `in_features`) against the input's actual size.
pub fn expect_size(
    argument: &'static str,
    expected: Option<u64>,
    found: u64,
    input: &Shape,
) -> Result<(), Problem> {
    match expected {
        Some(expected) if expected != found => Err(Problem {
            code: Code::Shape,
            ..Problem::argument(
                argument,
                format!("`{argument}` is {expected}, but the input {input} has {found}"),
            )
            .help(format!("leave `{argument}` out: it follows from the input"))
        }),
        _ => Ok(()),
    }
}

/// Checks that a size is at least 1, and returns it.
pub fn positive(argument: &'static str, value: u64) -> Result<u64, Problem> {
    if value == 0 {
        return Err(Problem::argument(argument, format!("`{argument}` is 0, it must be at least 1"))
            .help("use 1 or more; `max(1, ...)` keeps a scaled width from vanishing"));
    }
    Ok(value)
}
