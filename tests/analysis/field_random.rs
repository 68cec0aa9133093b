//! Receptive fields, supports, channels and paths of random graphs against plain loops over index sets.
//!
//! The tests share nothing with the analysis: every layer's reads are written again here, by definition, and
//! a unit's support is found by following single positions through the graph.

#![allow(clippy::cast_possible_wrap, reason = "small numbers: maps of at most 40 elements")]

mod net;

use std::collections::{BTreeMap, BTreeSet};

use cnnkit::analysis::support::{Borders, Region, support};
use cnnkit::analysis::{channels, field, paths};
use cnnkit::graph::NodeId;
use num_bigint::BigUint;

use net::{At, Net, Op, Random, random};

fn positions(region: &Region, rank: usize) -> BTreeSet<At> {
    let mut all = BTreeSet::new();
    for product in region.products() {
        let rows: Vec<i128> = product[0].spans().iter().flat_map(|span| span.lo..=span.hi).collect();
        let columns: Vec<i128> = if rank == 2 {
            product[1].spans().iter().flat_map(|span| span.lo..=span.hi).collect()
        } else {
            vec![0]
        };
        for &y in &rows {
            for &x in &columns {
                assert!(all.insert([y as i64, x as i64]), "products overlap");
            }
        }
    }
    all
}

fn check_support(net: &Net, unit: At) {
    let index: Vec<i128> = unit[..net.rank].iter().map(|&u| i128::from(u)).collect();
    for borders in [Borders::Ignored, Borders::Real] {
        let region = support(&net.graph, net.output(), NodeId::new(0), &index, borders).expect("a support");
        let expected: BTreeSet<At> = net.follow(unit, borders == Borders::Real).into_keys().collect();
        assert_eq!(positions(&region, net.rank), expected, "unit {unit:?} of {:?}", net.ops);
        assert_eq!(region.positions().expect("a count"), expected.len() as i128);
    }
}

fn check_field(net: &Net, seen: &mut BTreeMap<&'static str, usize>) {
    let fields = field::analyse(&net.graph, field::Options::default()).expect("fields");
    let facts = fields.facts(&net.graph, net.output()).expect("facts").remove(0);
    let own = fields.of(net.output(), NodeId::new(0)).expect("a field");
    for axis in 0..net.rank {
        let unit = |u: i64| if axis == 0 { [u, 0] } else { [0, u] };
        let found = &facts.axes[axis];
        let mixed = own.axes[axis].union.len() > 1;
        let size = |hull: Option<(i64, i64)>| hull.map_or(0, |(lo, hi)| i128::from(hi - lo + 1));
        let first = net.hull(unit(0), axis);
        assert_eq!(found.first.map(|span| (span.lo as i64, span.hi as i64)), first, "first of {:?}", net.ops);
        // After a few upsamplings by 2 or 3, 72 units nearly always include every phase of these small graphs.
        let period = own.axes[axis].union.iter().map(|piece| piece.family.period).max().unwrap_or(1) as i64;
        let range = if mixed { net.extent(net.output().index(), axis) } else { period };
        if range > 80 {
            *seen.entry("skipped: long period").or_default() += 1;
            continue;
        }
        let hulls: Vec<_> = (0..range).map(|u| net.hull(unit(u), axis)).collect();
        let largest = hulls.iter().map(|hull| size(*hull)).max().unwrap_or(0);
        assert_eq!(
            found.size,
            largest,
            "size on axis {axis} of {:?}\n{:?}",
            net.ops,
            net.graph.nodes().iter().map(|n| &n.inputs).collect::<Vec<_>>()
        );
        if !mixed {
            let moved = found.jump * num_rational::Ratio::from_integer(i128::from(period));
            assert!(moved.is_integer());
            for (u, hull) in (0..range).zip(&hulls) {
                let later = net.hull(unit(u + period), axis);
                let expected =
                    hull.map(|(lo, hi)| (lo + moved.to_integer() as i64, hi + moved.to_integer() as i64));
                assert_eq!(later, expected, "jump of {:?}", net.ops);
            }
        }
        // Path by path, where no phases blur the picture.
        let plain =
            net.ops.iter().all(|op| !matches!(op, Op::Transposed { .. } | Op::Nearest(_) | Op::Linear(_)));
        if plain {
            let paths = net.paths();
            let boxes: Vec<_> =
                paths.iter().map(|path| (net.path_box(path, axis, 0), net.path_box(path, axis, 1))).collect();
            let sizes = boxes.iter().map(|(zero, _)| size(*zero));
            if facts.aligned {
                assert_eq!(found.smallest, sizes.min(), "smallest of {:?}", net.ops);
            }
            *seen.entry("plain").or_default() += 1;
        }
        if let Some(effective) = found.effective
            && net.rank == 1
        {
            let middle = net.extent(net.output().index(), 0) / 2;
            let map = net.follow([middle, 0], false);
            let mass: f64 = map.values().sum();
            let mean = map.iter().map(|(at, w)| at[0] as f64 * w).sum::<f64>() / mass;
            let variance = map.iter().map(|(at, w)| (at[0] as f64 - mean).powi(2) * w).sum::<f64>() / mass;
            assert!(
                (effective.std - variance.sqrt()).abs() < 1e-6 * (1.0 + variance),
                "std {} {} of {:?}",
                effective.std,
                variance.sqrt(),
                net.ops
            );
        }
        // Back from the input: which units read position 3?
        let seeing = fields
            .units_seeing(
                &net.graph,
                net.output(),
                NodeId::new(0),
                &vec![field::Interval { lo: 3, hi: 4 }; net.rank],
            )
            .expect("a mapping");
        if net.rank == 1 {
            let extent = net.extent(net.output().index(), 0);
            let meet: Vec<i64> = (0..extent)
                .filter(|&u| net.hull([u, 0], 0).is_some_and(|(lo, hi)| lo <= 4 && hi >= 3))
                .collect();
            let expected = meet.first().zip(meet.last()).map(|(a, b)| (*a, *b));
            let found = seeing.map(|list| (list[0].lo as i64, list[0].hi as i64));
            if !mixed {
                assert_eq!(found, expected, "units that see 3..4 of {:?}", net.ops);
            }
        }
    }
    let plain =
        net.ops.iter().all(|op| !matches!(op, Op::Transposed { .. } | Op::Nearest(_) | Op::Linear(_)));
    if plain {
        assert_eq!(facts.aligned, net.is_aligned(), "alignment of {:?}", net.ops);
        *seen.entry(if facts.aligned { "aligned" } else { "misaligned" }).or_default() += 1;
    }
}

fn check_channels_and_paths(net: &Net) {
    let output = net.output();
    let sets = channels::reached(&net.graph, NodeId::new(0), output, true).expect("channels");
    let runs = sets[output.index()].as_ref().expect("a dependence");
    let mut found = Vec::new();
    for run in runs.iter() {
        let set: BTreeSet<u64> = run.set.iter().flat_map(|set| set.iter()).collect();
        found.extend(std::iter::repeat_n(set, run.len as usize));
    }
    let expected: Vec<BTreeSet<u64>> =
        (0..net.graph.node(output).shape.channels()).map(|c| net.channels(output.index(), c)).collect();
    assert_eq!(found, expected, "channels of {:?}", net.ops);
    let facts =
        channels::between(&net.graph, NodeId::new(0), output, true).expect("channels").expect("a dependence");
    let mut classes: Vec<BTreeSet<u64>> = Vec::new();
    for set in &expected {
        let (meeting, mut apart): (Vec<_>, Vec<_>) =
            classes.into_iter().partition(|class| !class.is_disjoint(set));
        apart.push(meeting.into_iter().flatten().chain(set.iter().copied()).collect());
        classes = apart;
    }
    assert_eq!(facts.isolated_groups, classes.len() as u64);
    assert_eq!(facts.smallest, expected.iter().map(|set| set.len() as u64).min().unwrap_or(0));

    let all = net.paths();
    let own = paths::paths(&net.graph).expect("paths").remove(0);
    assert_eq!(own.count, BigUint::from(all.len()));
    let mut lengths: BTreeMap<u64, BigUint> = BTreeMap::new();
    for path in &all {
        let weighted = path
            .iter()
            .filter(|&&node| {
                matches!(net.ops[node], Op::Transposed { .. } | Op::Window { weighted: true, .. })
            })
            .count();
        *lengths.entry(weighted as u64).or_default() += 1u8;
    }
    assert_eq!(own.lengths.expect("lengths"), lengths);
    if let Some(fields) = own.fields {
        let mut sizes: BTreeMap<Vec<paths::Seen>, BigUint> = BTreeMap::new();
        for path in &all {
            let size = |axis: usize| {
                let (lo, hi) = net.path_box(path, axis, 0).expect("a box");
                paths::Seen::Size(i128::from(hi - lo + 1))
            };
            *sizes.entry((0..net.rank).map(size).collect()).or_default() += 1u8;
        }
        assert_eq!(fields, sizes, "fields over paths of {:?}", net.ops);
    }
}

#[test]
fn ten_thousand_lines() {
    let mut generator = Random(0x9E37_79B9_7F4A_7C15);
    let mut seen = BTreeMap::new();
    for _ in 0..10_000 {
        let net = random(&mut generator, 1);
        check_support(&net, [2, 0]);
        check_field(&net, &mut seen);
        check_channels_and_paths(&net);
    }
    assert!(seen["aligned"] > 500 && seen["misaligned"] > 300, "{seen:?}");
    assert!(seen.get("skipped: long period").is_none_or(|&n| n < 200), "{seen:?}");
}

#[test]
fn two_thousand_planes() {
    let mut generator = Random(0xD1B5_4A32_D192_ED03);
    let mut seen = BTreeMap::new();
    let mut holes = 0;
    for _ in 0..2_000 {
        let net = random(&mut generator, 2);
        check_support(&net, [3, 2]);
        check_channels_and_paths(&net);
        let positions = net.follow([3, 2], false).len() as i64;
        let area: i64 = (0..2).map(|axis| net.hull([3, 2], axis).map_or(0, |(lo, hi)| hi - lo + 1)).product();
        holes += i64::from(area > positions);
        if area < 600 {
            check_field(&net, &mut seen);
        }
    }
    assert!(holes > 200, "{holes} graphs with holes");
}
