//! The native part of the Python package: commands of the program, with models that are in memory.
//!
//! Everything that knows Python's objects is written in Python, in `python/cnnkit`.

use std::collections::HashMap;
use std::ffi::OsString;

use cnnkit::cli::embedded::{self, Array, Output, Reference, Request};
use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

create_exception!(
    cnnkit,
    CnnkitError,
    PyValueError,
    "What cnnkit was given is wrong; the text says what, and where."
);

/// The report of a command: as JSON, text and Markdown, whether it passed, and whether a figure is partial.
type Called = (String, String, String, bool, bool);

/// A tensor: its sizes, and its elements in f32.
type Given = (Vec<usize>, PyBackedBytes);

/// What a module was given, and what it returned, with the error of each output in f32.
type Computed = (Vec<Given>, Vec<(Vec<usize>, PyBackedBytes, f64)>);

fn array(sizes: Vec<usize>, bytes: &PyBackedBytes) -> Array {
    Array { sizes, bytes: bytes.to_vec() }
}

/// Runs a command. SPEC arguments may be names of `models`, each with its bytes; `verify` compares with what PyTorch computed.
#[pyfunction]
fn call(
    py: Python<'_>,
    arguments: Vec<String>,
    models: HashMap<String, PyBackedBytes>,
    computed: Option<Computed>,
    width: usize,
) -> PyResult<Called> {
    let called = py.detach(|| {
        let models = models.into_iter().map(|(name, bytes)| (name, bytes.to_vec()));
        let reference = computed.map(|(inputs, outputs)| Reference {
            inputs: inputs.into_iter().map(|(sizes, bytes)| array(sizes, &bytes)).collect(),
            outputs: outputs
                .into_iter()
                .map(|(sizes, bytes, error)| Output { array: array(sizes, &bytes), error })
                .collect(),
        });
        embedded::call(&arguments, models, reference, width)
    });
    let called = called.map_err(|message| CnnkitError::new_err(message.trim_end().to_owned()))?;
    Ok((called.json, called.text, called.markdown, called.ok, called.partial))
}

/// Runs the program with these arguments, the program's name first; returns its exit status. `importer` returns the archive of
/// an object that the arguments name: `importer(object, inputs, arguments)`.
#[pyfunction]
fn program(py: Python<'_>, arguments: Vec<OsString>, importer: Py<PyAny>) -> u8 {
    let archive = move |request: &Request<'_>| {
        Python::attach(|py| {
            let given = (request.object, request.inputs.to_vec(), request.arguments.to_vec());
            let archive = importer.call1(py, given).and_then(|archive| archive.extract::<Vec<u8>>(py));
            archive.map_err(|error| error.value(py).to_string())
        })
    };
    py.detach(|| embedded::program(arguments, Box::new(archive)))
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("CnnkitError", module.py().get_type::<CnnkitError>())?;
    module.add("version", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(call, module)?)?;
    module.add_function(wrap_pyfunction!(program, module)?)
}
