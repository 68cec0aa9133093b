//! Programs that `torch.export` wrote (`.pt2`): from an archive to a graph.
//!
//! ```text
//! archive -> program (schema) -> translate (PyTorch's operators to ONNX's, views and writes resolved) -> onnx::import -> graph
//! ```
//!
//! - [`schema`] has the parts of a program that are read.
//! - `archive` finds the program and the places of the weights, which stay in the file.
//! - `operators` translates: one table, one function per operator; its `call::values` follows what is written in place, and through views.
//!
//! Every tensor of the signature is counted as PyTorch counts it, whether or not the graph reads it. An operator outside the
//! table becomes an opaque layer of the shape that the file states.

mod archive;
mod inline;
mod messages;
mod operators;
mod pickle;
pub mod schema;
mod state;
mod translate;
mod written;

use std::collections::HashMap;
use std::io::Read;

use cnnkit_core::diagnostic::{Code, Problem, Rejected};
use cnnkit_core::graph::Graph;
use cnnkit_core::source::Origin;
use cnnkit_exec::tensor::Tensor;

use crate::onnx::bind::Bindings;
use crate::onnx::constant::Constant;
use crate::onnx::import::{Imported, import_declared};
use crate::onnx::source::ModelSource;
use crate::onnx::weights::Stored;

/// Reads the program of `source` and makes a graph of it. Its weights are not looked at.
///
/// # Errors
/// Everything that is wrong with it, at most 20 flaws, with the lines of Python that the archive states.
pub fn load(source: ModelSource, bindings: &Bindings) -> Result<Imported, Box<Rejected>> {
    imported(source, bindings, false)
}

/// Reads the weights of `graph`, which [`load`] made of the program that `stored` refers to: a tensor for each, by its full
/// name. What the program computes from its weights alone is computed first.
///
/// # Errors
/// If a weight is not there, or has another size than is stated.
pub fn weights(
    graph: &Graph,
    stored: &Stored,
    bindings: &Bindings,
) -> Result<HashMap<String, Tensor<f32>>, Problem> {
    let computed = |constant: &Constant| constant.derived && constant.values.is_none();
    if !stored.weights.iter().flatten().any(computed) {
        return stored.load(graph);
    }
    let flaws = |rejected: Box<Rejected>| {
        let message = rejected.flaws.into_iter().next().map_or_else(String::new, |flaw| flaw.message);
        Problem::new(Code::InvalidValue, message).help("is the file still there, and the same?")
    };
    let again = imported(stored.source.clone(), bindings, true).map_err(flaws)?;
    let same = again.graph.nodes().len() == graph.nodes().len()
        && again
            .graph
            .nodes()
            .iter()
            .zip(graph.nodes())
            .all(|(a, b)| a.id == b.id && a.op.name() == b.op.name());
    if same { again.load_weights() } else { stored.load(graph) }
}

fn imported(source: ModelSource, bindings: &Bindings, values: bool) -> Result<Imported, Box<Rejected>> {
    let flaw = |problem: Problem| {
        Box::new(Rejected { flaws: vec![problem.in_layer("", &Origin::default())], ..Rejected::default() })
    };
    let (mut translated, (sources, origins)) = {
        let mut archive = archive::Archive::open(&source).map_err(flaw)?;
        let mut program = archive.program().map_err(flaw)?;
        inline::inline(&mut program.graph_module.graph);
        let batch = operators::of_one_image(&mut program);
        let written = archive.written().map_err(flaw)?;
        (translate::translate(&program, &mut archive, batch).map_err(flaw)?, written.resolved())
    };
    translated.declared.values = values;
    translated.declared.origins = origins;
    match import_declared(translated.model, source, bindings, &translated.declared) {
        Ok(imported) => Ok(Imported { sources, ..imported }),
        Err(flaws) => Err(Box::new(Rejected { sources, flaws })),
    }
}

/// Returns whether `source` is an archive: by its ending, or by how it begins.
pub fn is_archive(source: &ModelSource) -> bool {
    let ending = source
        .file()
        .and_then(|path| path.extension())
        .is_some_and(|ending| ending.eq_ignore_ascii_case("pt2"));
    let mut first = Vec::new();
    let mut begins = || match source.open() {
        Ok(file) => file.take(4).read_to_end(&mut first).is_ok() && looks_like_archive(&first),
        Err(_) => false,
    };
    ending || source.shown().to_ascii_lowercase().ends_with(".pt2") || begins()
}

/// Returns whether `bytes` begin as an archive does.
pub fn looks_like_archive(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}
