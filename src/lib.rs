//! Computes the parameters, MACs, shapes, memory, receptive fields and gridding of a convolutional network
//! from a YAML spec or an ONNX model, and verifies every figure by running the network.
//!
//! # Ten lines
//!
//! ```
//! use cnnkit::{Network, Tensor};
//!
//! let spec = "
//! input: [3, 32, 32]
//! layers:
//!   - conv: {out_channels: 16, kernel: 3, stride: 2, padding: 1}
//!   - relu
//!   - conv: {out_channels: 8, kernel: 3, padding: 1}
//! ";
//! let network = Network::from_bytes("net.yaml", spec)?;
//! assert_eq!(network.totals().params, 16 * 3 * 9 + 16 + 8 * 16 * 9 + 8);
//! let field = network.receptive_field()?.expect("a network on images");
//! assert_eq!((field.axes[0].size, field.axes[0].jump.to_integer()), (7, 2));
//! for finding in network.findings() {
//!     println!("{} {}", finding.rule.id, finding.message);
//! }
//! let outputs = network.run(&[Tensor::zeros(&[1, 3, 32, 32])])?;
//! assert_eq!(outputs[0].sizes(), [1, 8, 16, 16]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Load
//!
//! [`Network::load`] accepts what the program accepts: the path of a spec or an ONNX model, or `zoo:NAME` for
//! a built-in network. [`Network::from_bytes`] loads either from memory. A [`Loader`] can replace input
//! shapes and variables first:
//!
//! ```
//! use cnnkit::Loader;
//!
//! let network = Loader::new().input("", [3, 64, 64]).set("classes", "10").load("zoo:resnet18")?;
//! assert_eq!(network.totals().params, 11_181_642);
//! # Ok::<(), cnnkit::LoadError>(())
//! ```
//!
//! A [`LoadError`] contains every flaw that was found, each with its position in the text; the first one does
//! not hide the others:
//!
//! ```
//! let wrong = "input: [3, 8, 8]\nlayers: [rellu, conv: {kernel: 3}]";
//! let error = cnnkit::Network::from_bytes("net.yaml", wrong).expect_err("two flaws");
//! let flaws = error.diagnostics();
//! assert_eq!(flaws[0].message, "unknown layer or block `rellu`");
//! assert_eq!(flaws[0].help, ["did you mean `relu`?"]);
//! assert!(error.to_string().starts_with("net.yaml:2:10: "));
//! ```
//!
//! # Inspect
//!
//! A network's [`Graph`] is a list of nodes in execution order, each with its layer, inputs, inferred shape,
//! weights and cost. A graph is immutable, so these always match; a [`Builder`](graph::Builder) constructs a
//! new one.
//!
//! ```
//! let network = cnnkit::Network::load("zoo:vgg16")?;
//! let first = network.graph.find("stage1.conv1").expect("the layer");
//! let node = network.graph.node(first);
//! assert_eq!((node.op.name(), node.shape.sizes(), node.cost.macs), ("conv", &[64, 224, 224][..], 86_704_128));
//! # Ok::<(), cnnkit::LoadError>(())
//! ```
//!
//! [`Network::facts`] returns the results of the analyses, each computed on first use: the receptive fields
//! of every layer, the memory peak, dilated chains and their holes, paths. [`Network::findings`] returns the
//! findings of the default rules; [`check`] has all rules, budgets and baselines.
//!
//! # Run
//!
//! [`Network::run`] computes the outputs in f32, with the weights of the model, or with seeded weights that
//! are the same on every machine. [`exec`] has the tensors and kernels, [`verify`] compares every prediction
//! with a measurement.
//!
//! # Modules
//!
//! | module | contents |
//! | --- | --- |
//! | [`graph`], [`layers`], [`shape`] | the typed layer graph |
//! | [`spec`], [`source`], [`diagnostic`] | the spec language and its errors |
//! | [`analysis`] | pure functions of a graph: receptive fields, gridding, memory, paths |
//! | [`check`], [`rules`] | rules, expectations, budgets, fixes |
//! | [`formats`] | ONNX in; ONNX, PyTorch and YAML out |
//! | [`exec`], [`verify`] | execution of networks, and predictions checked by it |
//! | [`report`], [`render`] | the output of the program, as data and as text |
//!
//! Without the default feature `cli`, the crate has no command line and none of its dependencies.

#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
pub mod disk;
pub mod load;
pub mod page;
pub mod rates;
#[doc(hidden)]
pub mod resized;
#[doc(hidden)]
pub mod revision;
pub mod standalone;
pub mod zoo;

#[cfg(feature = "cli")]
extern crate self as cnnkit;

pub use load::{LoadError, Loader, Network};

pub use cnnkit_core::diagnostic::{Diagnostic, Problem};
pub use cnnkit_core::graph::{Graph, Node, NodeId};
pub use cnnkit_exec::tensor::Tensor;

/// # Example
///
/// A project file adds rules, budgets and per-folder choices; [`check::run`] judges many files with them, and
/// [`check::network`] one loaded spec:
///
/// ```
/// use cnnkit::check::{self, Selection};
/// use cnnkit::spec::{self, Overrides, files::Text};
///
/// let text = "input: [3, 8, 8]\nlayers: [conv: {out_channels: 4, kernel: 3}, batch_norm]";
/// let files = Text { name: "net.yaml".into(), bytes: text.into() };
/// let loaded = spec::load(&files, "net.yaml", &Overrides::default())?;
/// let outcome = check::network(&loaded, &Selection::default());
/// assert_eq!(outcome.findings[0].rule.id, "CK401"); // the norm removes the convolution's bias
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(inline)]
pub use cnnkit_check as check;

/// # Example
///
/// ```
/// use cnnkit::rules::{RULES, find};
///
/// let rule = find("bias-before-norm").expect("a rule"); // or `find("CK401")`
/// assert_eq!(rule.id, "CK401");
/// assert!(RULES.iter().all(|rule| !rule.meta().source.is_empty()));
/// ```
#[doc(inline)]
pub use cnnkit_check::rules;

/// # Example
///
/// ```
/// use cnnkit::analysis::gridding::{Gridding, Stack};
/// use cnnkit::analysis::{field, hdc, memory, paths, totals};
///
/// // Three 3x3 convolutions of rate 2 read 7 of 13 positions per axis.
/// let stack = Stack::uniform(3, &[2, 2, 2], 2)?;
/// let gridding = Gridding::of(&stack)?;
/// assert_eq!((gridding.size(), gridding.covered(), gridding.max_gap()), (vec![13, 13], 49u32.into(), 2));
///
/// // The published rule and the exact coverage, side by side.
/// let check = hdc::Check::of(3, &[vec![2, 2, 3]], 2)?;
/// assert!(check.rule.ok && !check.exact.hole_free() && !check.agrees());
///
/// // Analyses of a graph.
/// let network = cnnkit::Network::load("zoo:resnet18")?;
/// assert_eq!(totals::of_graph(&network.graph).params, 11_689_512);
/// let fields = field::analyse(&network.graph, field::Options::default())?;
/// let headline = field::headline(&network.graph, &fields).expect("a feature map");
/// assert_eq!(headline.axes[0].size, 435);
/// let peak = memory::peak(&network.graph).expect("a network has a step");
/// assert_eq!(network.graph.node(peak.step).shape.sizes(), [64, 112, 112]);
/// assert_eq!(paths::paths(&network.graph)?[0].count, (1u32 << 8).into()); // 8 residual modules
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(inline)]
pub use cnnkit_core::analysis;

/// # Example
///
/// ```
/// use cnnkit::diagnostic::Code;
///
/// let error = cnnkit::Network::from_bytes("net.yaml", "input: [3, 8, 8]\nlayers: [rellu]").expect_err("a flaw");
/// let flaw = &error.diagnostics()[0];
/// assert_eq!((flaw.code, flaw.code.id()), (Code::UnknownName, "CK002"));
/// ```
#[doc(inline)]
pub use cnnkit_core::diagnostic;

/// # Example
///
/// ```
/// use cnnkit::graph::Op;
///
/// let network = cnnkit::Network::load("zoo:resnet18")?;
/// let merges = network.graph.iter().filter(|(_, node)| node.op.name() == "add");
/// for (_, node) in merges {
///     assert!(matches!(node.op, Op::Layer(_)));
///     assert_eq!(node.sources().len(), 2);
/// }
/// # Ok::<(), cnnkit::LoadError>(())
/// ```
#[doc(inline)]
pub use cnnkit_core::graph;

/// # Example
///
/// ```
/// use cnnkit::layers::{KINDS, find};
///
/// // PyTorch's and Keras's names are understood where they mean the same.
/// let (kind, axes) = find("Conv2d").expect("a layer");
/// assert_eq!((kind.doc.name, axes), ("conv", Some(2)));
/// assert!(KINDS.iter().all(|kind| !(kind.examples)().is_empty()));
/// ```
#[doc(inline)]
pub use cnnkit_core::layers;

/// # Example
///
/// ```
/// use cnnkit::number;
///
/// assert_eq!(number::grouped(25_557_032), "25,557,032");
/// assert_eq!(number::bytes(98_304), "96.0 KiB");
/// ```
#[doc(inline)]
pub use cnnkit_core::number;

/// # Example
///
/// ```
/// use cnnkit::shape::Shape;
///
/// let map = Shape::new([64, 56, 48]); // [C, H, W]
/// assert_eq!((map.channels(), map.spatial(), map.elements()?), (64, &[56, 48][..], 172_032));
/// # Ok::<(), cnnkit::Problem>(())
/// ```
#[doc(inline)]
pub use cnnkit_core::shape;

/// # Example
///
/// ```
/// use cnnkit::source::Sources;
///
/// let mut sources = Sources::default();
/// let id = sources.add("net.yaml", "input: [3, 8, 8]\nlayers: [relu]");
/// assert_eq!(sources.line_column(id, 26), (2, 10)); // `relu`; both count from 1
/// ```
#[doc(inline)]
pub use cnnkit_core::source;

/// # Example
///
/// ```
/// use cnnkit::spec::{self, Overrides, files::Text};
///
/// let text = "input: [3, 8, 8]\nvariables: {width: 4}\nlayers: [conv: {out_channels: $width, kernel: 3}]";
/// let files = Text { name: "net.yaml".into(), bytes: text.into() };
/// let wider = Overrides { variables: vec![("width".into(), "16".into())], ..Overrides::default() };
/// let loaded = spec::load(&files, "net.yaml", &wider)?;
/// assert_eq!(loaded.graph.node(loaded.graph.outputs()[0]).shape.sizes(), [16, 6, 6]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(inline)]
pub use cnnkit_core::spec;

/// # Example
///
/// ```
/// use cnnkit::value::{parse_decimal, show_number};
///
/// // Numbers of a spec are exact fractions.
/// let number = parse_decimal("0.25").expect("a number");
/// assert_eq!((show_number(&number), *number.denom() == 4.into()), ("0.25".to_owned(), true));
/// ```
#[doc(inline)]
pub use cnnkit_core::value;

/// # Example
///
/// ```
/// use cnnkit::exec::network::{Fill, Network, random_inputs};
/// use cnnkit::exec::run::Reference;
///
/// let spec = "input: [3, 8, 8]\nlayers: [conv: {out_channels: 4, kernel: 3}, relu]";
/// let loaded = cnnkit::Network::from_bytes("net.yaml", spec)?;
/// let network = Network::<f64>::seeded(&loaded.graph, 0, Fill::Declared)?;
/// let trace = network.trace(random_inputs(&loaded.graph, 1, 0)?, &Reference)?;
/// assert_eq!(trace.steps[0].counter.macs, 4 * 6 * 6 * 27); // counted while it ran
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(inline)]
pub use cnnkit_exec as exec;

#[doc(inline)]
pub use cnnkit_formats as formats;

/// # Example
///
/// ```
/// use cnnkit::export::{pytorch, yaml};
///
/// let network = cnnkit::Network::load("zoo:squeeze-excite")?;
/// let python = pytorch::write(&network.graph).expect("every layer exists in PyTorch");
/// assert!(python.contains("import torch"));
/// let spec = yaml::write(&network.graph).expect("a spec");
/// let again = cnnkit::Network::from_bytes("again.yaml", spec)?;
/// assert_eq!(again.totals(), network.totals());
/// # Ok::<(), cnnkit::LoadError>(())
/// ```
#[doc(inline)]
pub use cnnkit_formats::export;

/// # Example
///
/// ```
/// use cnnkit::export::onnx::{NEWEST, Options, write};
///
/// let network = cnnkit::Network::load("zoo:squeeze-excite")?;
/// let options = Options { opset: NEWEST, batch: None, weights_file: None };
/// let model = write(&network.graph, None, &options).expect("every layer exists in ONNX");
/// let again = cnnkit::Network::from_bytes("net.onnx", model.bytes())?;
/// assert_eq!(again.totals().macs, network.totals().macs);
/// # Ok::<(), cnnkit::LoadError>(())
/// ```
#[doc(inline)]
pub use cnnkit_formats::onnx;

/// # Example
///
/// A summary is what `--format json` prints, typed:
///
/// ```
/// use cnnkit::report::{Report, paths};
///
/// let network = cnnkit::Network::load("zoo:residual")?;
/// let summary = paths::summary(&network.graph, None)?;
/// assert_eq!(summary.outputs[0].residual_modules, 3);
/// let report = Report::of_networks(vec![network.entry(summary)]);
/// assert_eq!(report.json.value()["command"], "paths");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(inline)]
pub use cnnkit_report as report;

/// # Example
///
/// ```
/// use cnnkit::render::{Canvas, Format, render};
/// use cnnkit::report::{Report, paths};
///
/// let network = cnnkit::Network::load("zoo:residual")?;
/// let report = Report::of(paths::summary(&network.graph, None)?);
/// let table = render(&report, Format::Table, Canvas { width: 80, color: false, tables: true });
/// assert!(table.contains("residual modules"));
/// let csv = render(&report, Format::Csv, Canvas { width: 80, color: false, tables: true });
/// assert!(csv.lines().count() > 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(inline)]
pub use cnnkit_report::render;

/// # Example
///
/// ```
/// use cnnkit::verify::{Analysis, Effort, Options, verify};
///
/// let network = cnnkit::Network::load("zoo:squeeze-excite")?;
/// let options = Options { effort: Effort::Fast, ..Options::default() };
/// let outcome = verify(&network.graph, &Analysis, &options, &|_| {})?;
/// assert!(outcome.ok() && outcome.claims.len() > 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(inline)]
pub use cnnkit_verify as verify;
