//! The truth about a convolutional network: parameters, MACs, shapes, memory, receptive fields and gridding, from a page
//! of YAML or an ONNX model. It runs the network to verify every figure.
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
//! [`Network::load`] takes what the program takes: the path of a spec or an ONNX model, or `zoo:NAME` for a built-in
//! network. [`Network::from_bytes`] takes either from memory. A [`Loader`] replaces input shapes and variables first:
//!
//! ```
//! use cnnkit::Loader;
//!
//! let network = Loader::new().input("", [3, 64, 64]).set("classes", "10").load("zoo:resnet18")?;
//! assert_eq!(network.totals().params, 11_181_642);
//! # Ok::<(), cnnkit::LoadError>(())
//! ```
//!
//! A [`LoadError`] carries every flaw that was found, each with its place in the text; the first one does not hide the
//! others:
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
//! # Look
//!
//! A network's [`Graph`] is a list of nodes in execution order, each with its layer, its inputs, its inferred shape, its
//! weights and its cost. It cannot be changed, so these always belong together; a [`Builder`](graph::Builder) makes
//! another one.
//!
//! ```
//! let network = cnnkit::Network::load("zoo:vgg16")?;
//! let first = network.graph.find("stage1.conv1").expect("the layer");
//! let node = network.graph.node(first);
//! assert_eq!((node.op.name(), node.shape.sizes(), node.cost.macs), ("conv", &[64, 224, 224][..], 86_704_128));
//! # Ok::<(), cnnkit::LoadError>(())
//! ```
//!
//! [`Network::facts`] returns what the analyses find, each computed when it is first asked for: receptive fields of
//! every layer, the worst step's memory, dilated chains and their holes, paths. [`Network::findings`] returns what the
//! default rules have to say; [`check`] has all rules, budgets and baselines.
//!
//! # Run
//!
//! [`Network::run`] computes the outputs in f32, with the weights of the model, or with seeded ones that are the same on
//! every machine. [`exec`] has what it is made of, [`verify`] compares every prediction with a measurement.
//!
//! # Where things are
//!
//! | module | what |
//! | --- | --- |
//! | [`graph`], [`layers`], [`shape`] | the typed layer graph |
//! | [`spec`], [`source`], [`diagnostic`] | the spec language and its errors |
//! | [`analysis`] | pure functions of a graph: receptive fields, gridding, memory, paths |
//! | [`check`], [`rules`] | rules, expectations, budgets, fixes |
//! | [`formats`] | ONNX in; ONNX, PyTorch and YAML out |
//! | [`exec`], [`verify`] | numbers by running the network |
//! | [`report`], [`render`] | what the program prints, as data and as text |
//!
//! Without the default feature `cli` there is no command line, and none of its dependencies.

pub mod disk;
pub mod load;
#[doc(hidden)]
pub mod resized;
#[doc(hidden)]
pub mod revision;
mod standalone;
pub mod zoo;

pub use load::{LoadError, Loader, Network};

pub use cnnkit_core::diagnostic::{Diagnostic, Problem};
pub use cnnkit_core::graph::{Graph, Node, NodeId};
pub use cnnkit_exec::tensor::Tensor;

pub use cnnkit_check as check;
pub use cnnkit_check::rules;
pub use cnnkit_core::{analysis, diagnostic, graph, layers, number, shape, source, spec, value};
pub use cnnkit_exec as exec;
pub use cnnkit_formats as formats;
pub use cnnkit_formats::{export, onnx};
pub use cnnkit_report as report;
pub use cnnkit_report::render;
pub use cnnkit_verify as verify;
