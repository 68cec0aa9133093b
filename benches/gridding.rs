//! The cost of gridding at a million positions per axis, and of a design search.

use std::hint::black_box;

use cnnkit::analysis::design::{Require, Search};
use cnnkit::analysis::gridding::{Gridding, Stack};
use cnnkit::analysis::survey::survey;
use criterion::{Criterion, criterion_group, criterion_main};

fn gridding(criterion: &mut Criterion) {
    let cases: [(&str, Vec<u64>); 3] = [
        ("8 sparse layers, 10^6 wide", (0..8).map(|i| 62_500 + 3 * i).collect()),
        ("999 rates, 10^6 wide", (2..=1000).collect()),
        ("no holes, 3^37 wide", (0..37).map(|i| 3u64.pow(i)).collect()),
    ];
    for (name, rates) in cases {
        let Ok(stack) = Stack::uniform(3, &rates, 2) else { continue };
        criterion.bench_function(name, |bencher| bencher.iter(|| Gridding::of(black_box(&stack)).is_ok()));
    }
}

fn search(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("search");
    group.sample_size(10);
    for layers in [4, 6, 7] {
        let search = Search {
            layers: (layers, layers),
            kernel: 3,
            max_rate: 16,
            min_size: 1,
            period: None,
            require: Require::Both,
        };
        group.bench_function(format!("{layers} layers, rates to 16"), |bencher| {
            bencher.iter(|| black_box(&search).run(&|_| ()).is_ok());
        });
    }
    group.bench_function("survey of 5 layers, rates to 12", |bencher| {
        bencher.iter(|| survey(3, 5, 12, &|_| ()).is_ok());
    });
    group.finish();
}

criterion_group!(benches, gridding, search);
criterion_main!(benches);
