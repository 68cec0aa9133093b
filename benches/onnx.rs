//! The cost of reading a model: `cargo bench --bench onnx`. `benches/onnx_peers.py` compares with other
//! programs.

use std::io::{Cursor, Read as _};
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};

use cnnkit::onnx::bind::Bindings;
use cnnkit::onnx::import::import;
use cnnkit::onnx::read;

fn models(c: &mut Criterion) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/onnx/graphs.zip");
    let bytes = std::fs::read(path).expect("a file");
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).expect("an archive");
    for name in ["resnet50.legacy.onnx", "densenet121.dynamo.onnx", "convnext_tiny.dynamo.onnx"] {
        let mut bytes = Vec::new();
        archive.by_name(name).expect("an entry").read_to_end(&mut bytes).expect("a file");
        c.bench_function(&format!("messages of {name}"), |b| {
            b.iter(|| read::read(Cursor::new(&bytes)).expect("a model"));
        });
        c.bench_function(&format!("graph of {name}"), |b| {
            b.iter(|| {
                let model = read::read(Cursor::new(&bytes)).expect("a model");
                import(model, Path::new(name), &Bindings::default()).expect("a network").graph.nodes().len()
            });
        });
    }
}

criterion_group!(benches, models);
criterion_main!(benches);
